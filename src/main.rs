//! The `servemark` command.

mod command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Trustworthy throughput benchmarks for LLM servers.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
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
    Check,
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
    /// Derive an engine preset from run records of a real server.
    Fit(command::fit::Arguments),
}

/// Exit code of a command that could not do what was asked.
const COULD_NOT: u8 = 2;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Check => command::check::run(),
        Command::Baseline(arguments) => command::baseline::run(arguments),
        Command::Compare(arguments) => command::compare::run(arguments),
        Command::Gate(arguments) => command::gate::run(arguments),
        Command::Report(arguments) => command::report::run(arguments),
        Command::Engine(arguments) => command::engine::run(*arguments),
        Command::Fit(arguments) => command::fit::run(arguments),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {}", command::explain(&error));
        ExitCode::from(COULD_NOT)
    })
}
