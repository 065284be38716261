//! The `servemark` command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use servemark::config::Config;

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
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Check => check(),
    }
}

fn check() -> anyhow::Result<ExitCode> {
    let config = Config::load()?;
    println!("configuration: {}\n", config.source);
    let report = servemark::check::check(&config)?;
    print!("{report}");
    Ok(match report.is_ready() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}
