use std::process::ExitCode;

use super::servers::ServerOptions;
use crate::config::{Config, Settings};

const EXAMPLES: &str = "\
Examples:
  servemark check
      the servers in fixtures/parameters.json or SERVEMARK_<KEY>, else the embedded simulated engine
  servemark check --endpoint http://a:8000 --endpoint http://b:8000
  servemark check && cargo bench --bench chat_throughput

An endpoint is ready if it answers a real request. Other requests that fail are only listed.
Over TLS: CA_FILE names a PEM file of further certificates to trust, such as a private CA's or a self-signed one.
INSECURE=true verifies none, and every output says so (SERVEMARK_CA_FILE, SERVEMARK_INSECURE).

Exit codes: 0 all are ready, 1 one is not, 2 the check could not be made.";

#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    servers: ServerOptions,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = Settings::load(&Config::of_options(arguments.servers.flags()))?;
    println!("configuration: {}\n", config.source);
    let report = crate::check::check(&config)?;
    anstream::print!("{report}");
    Ok(match report.is_ready() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}
