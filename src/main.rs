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
    /// Serve a simulated vLLM: its protocol on real sockets, a model of its scheduling, no GPU.
    Engine(Box<command::engine::Arguments>),
    /// Derive an engine preset from run records of a real server.
    Fit(command::fit::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Check => command::check::run(),
        Command::Engine(arguments) => command::engine::run(*arguments),
        Command::Fit(arguments) => command::fit::run(arguments),
    }
}
