//! The `servemark` command: one file per subcommand, with its arguments and what it prints.

mod baseline;
mod capacity;
mod check;
mod compare;
mod completions;
#[cfg(feature = "engine")]
mod engine;
mod error;
#[cfg(feature = "fit")]
mod fit;
mod gate;
mod man;
mod output;
#[cfg(feature = "plan")]
mod plan;
mod report;
mod results;
mod run;
mod servers;
mod side;
mod slo;
mod workload;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  servemark check --endpoint http://localhost:8000
      is the server ready for a benchmark?
  servemark run --endpoint http://localhost:8000 --concurrency 1,8,64
      a quick look
  cargo bench --bench chat_throughput
      the whole benchmark, with Criterion's statistics and plots
  servemark baseline save && servemark compare vllm-0.31.0 new
      keep the figures of a version, and compare the next one with them

Configuration: fixtures/parameters.json, or the file that SERVEMARK_CONFIG names. SERVEMARK_<KEY> overrides a key,
and an option of a command overrides both. OPENAI_API_KEY is sent as the bearer token. NO_COLOR disables colours.
Each command's --help has examples.";

/// Trustworthy throughput benchmarks for LLM servers.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_long_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show which endpoints are ready for a benchmark, and what is missing at the others.
    ///
    /// Reads the configuration as the benchmarks do (fixtures/parameters.json, SERVEMARK_<KEY>), and checks
    /// the health, version, model and tokenizer of every endpoint, and one streamed answer. Exits with 1 if
    /// one is not ready.
    Check(check::Arguments),
    /// Measure without Criterion, for a quick look: the same load, figures and records as the benches.
    Run(Box<run::Arguments>),
    /// Find the largest load within the objectives (SLO): requests in flight, or requests per second.
    Capacity(Box<capacity::Arguments>),
    /// Show a run's figures again, or write them as CSV, Markdown, JSON or results of `vllm bench serve`.
    Results(results::Arguments),
    /// Save runs under names, list them, and copy them between machines.
    Baseline(baseline::Arguments),
    /// Compare versions: what changed, by how much, and how certain that is.
    Compare(compare::Arguments),
    /// Report by the exit code whether a version became slower: for CI.
    Gate(gate::Arguments),
    /// Write the report as pages with plots, or as one file.
    Report(report::Arguments),
    /// Serve a simulated vLLM: its protocol on real sockets, a model of its scheduling, no GPU.
    #[cfg(feature = "engine")]
    Engine(Box<engine::Arguments>),
    /// Show which layouts of a model over GPUs fit, which to try first, and how to run each.
    #[cfg(feature = "plan")]
    Plan(plan::Arguments),
    /// Derive an engine preset from run records of a real server.
    #[cfg(feature = "fit")]
    Fit(fit::Arguments),
    /// Print the completion script for a shell.
    Completions(completions::Arguments),
    /// Print the manual page, or write the pages of all commands.
    Man(man::Arguments),
}

/// Exit code of a command that failed.
const FAILED: u8 = 2;

/// Largest width of a help text (columns).
const HELP_WIDTH: usize = 120;

/// Parses the command line. Help is as wide as the terminal; in a pipe clap's default is 100 columns.
fn parse() -> Cli {
    let columns = console::Term::stdout()
        .size_checked()
        .map(|size| usize::from(size.1));
    let width = columns.unwrap_or(HELP_WIDTH).min(HELP_WIDTH);
    let matches = Cli::command().term_width(width).get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Parses the command line, runs the command, and returns its exit code.
pub fn main() -> ExitCode {
    crate::stdio::relay();
    crate::panics::hide_secrets();
    let result = match parse().command {
        Command::Check(arguments) => check::run(arguments),
        Command::Run(arguments) => run::run(*arguments),
        Command::Capacity(arguments) => capacity::run(*arguments),
        Command::Results(arguments) => results::run(arguments),
        Command::Baseline(arguments) => baseline::run(arguments),
        Command::Compare(arguments) => compare::run(arguments),
        Command::Gate(arguments) => gate::run(arguments),
        Command::Report(arguments) => report::run(arguments),
        #[cfg(feature = "engine")]
        Command::Engine(arguments) => engine::run(*arguments),
        #[cfg(feature = "plan")]
        Command::Plan(arguments) => plan::run(arguments),
        #[cfg(feature = "fit")]
        Command::Fit(arguments) => fit::run(arguments),
        Command::Completions(arguments) => completions::run(arguments, Cli::command()),
        Command::Man(arguments) => man::run(arguments, Cli::command()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {}", error::explain(&error));
        ExitCode::from(FAILED)
    })
}
