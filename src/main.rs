//! The `servemark` command.

mod command;

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
      keep a version, and hold the next one against it

Configuration: fixtures/parameters.json, or the file that SERVEMARK_CONFIG names; SERVEMARK_<KEY> overrides a
key, an option of a command both. OPENAI_API_KEY is sent as the bearer token. NO_COLOR takes colours away.
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
    /// Say which endpoints are ready for a benchmark, and what the others lack.
    ///
    /// Reads the configuration as the benchmarks do (fixtures/parameters.json, SERVEMARK_<KEY>), and asks
    /// every endpoint for its health, version, model, tokenizer and one streamed answer. Exits with 1 if
    /// one is not ready.
    Check(command::check::Arguments),
    /// Measure without Criterion, for a quick look: the same load, figures and records as the benches.
    Run(Box<command::run::Arguments>),
    /// Show a run's figures again, or write them as CSV, Markdown, JSON or results of `vllm bench serve`.
    Results(command::results::Arguments),
    /// Keep runs under names, list them, carry them from machine to machine.
    Baseline(command::baseline::Arguments),
    /// Compare versions: what changed, by how much, and how sure that is.
    Compare(command::compare::Arguments),
    /// Answer in an exit code whether a version became slower: for CI.
    Gate(command::gate::Arguments),
    /// Write the report as pages with plots, or as one file.
    Report(command::report::Arguments),
    /// Serve a simulated vLLM: its protocol on real sockets, a model of its scheduling, no GPU.
    Engine(Box<command::engine::Arguments>),
    /// Say which layouts of a model over GPUs fit, which to try first, and how to run each.
    Plan(command::plan::Arguments),
    /// Derive an engine preset from run records of a real server.
    Fit(command::fit::Arguments),
    /// Print a shell's completions of this command.
    Completions(command::completions::Arguments),
    /// Print the manual page, or write those of all commands.
    Man(command::man::Arguments),
}

/// Exit code of a command that could not do what was asked.
const COULD_NOT: u8 = 2;

/// Widest lines of a help text (columns); narrower where the terminal is.
const HELP_WIDTH: usize = 120;

/// The command line, with help as wide as the terminal. In a pipe clap would take 100 columns.
fn parse() -> Cli {
    let columns = console::Term::stdout()
        .size_checked()
        .map(|size| usize::from(size.1));
    let width = columns.unwrap_or(HELP_WIDTH).min(HELP_WIDTH);
    let matches = Cli::command().term_width(width).get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn main() -> ExitCode {
    servemark::stdio::relay();
    let done = match parse().command {
        Command::Check(arguments) => command::check::run(arguments),
        Command::Run(arguments) => command::run::run(*arguments),
        Command::Results(arguments) => command::results::run(arguments),
        Command::Baseline(arguments) => command::baseline::run(arguments),
        Command::Compare(arguments) => command::compare::run(arguments),
        Command::Gate(arguments) => command::gate::run(arguments),
        Command::Report(arguments) => command::report::run(arguments),
        Command::Engine(arguments) => command::engine::run(*arguments),
        Command::Plan(arguments) => command::plan::run(arguments),
        Command::Fit(arguments) => command::fit::run(arguments),
        Command::Completions(arguments) => command::completions::run(arguments, Cli::command()),
        Command::Man(arguments) => command::man::run(arguments, Cli::command()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {}", command::explain(&error));
        ExitCode::from(COULD_NOT)
    })
}
