use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use super::servers::ServerOptions;
use super::workload::WorkloadOptions;
use crate::RunError;
use crate::bench::{CapacitySearch, TrialTimes};
use crate::config::{Config, Flag, keys};

const EXAMPLES: &str = "\
Examples:
  servemark capacity --endpoint http://localhost:8000 --slo ttft.p95=500,tpot.p90=50
      how many requests in flight it holds, with at most 5 % of the TTFTs above 500 ms
  servemark capacity --rate --slo e2el.p99=10000,failed=0.001
      how many requests per second, in an open loop
  cargo bench --bench capacity
      the same with the keys of parameters.json: SLO, LOAD_SHAPE, PROMPT_KEYS

Without --endpoint and MODEL_ENDPOINTS the embedded simulated engine is searched. The trials are kept as the points of a
benchmark called capacity; capacity.json and capacity.html beside them have the result. Exits with 1 if fresh requests
contradicted the answer.";

#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    servers: ServerOptions,
    /// Objectives: a limit (ms) of each latency with its percentile, P99 where none is named, and the largest share of
    /// failed requests [default: SLO; failed: 0.01]
    #[arg(long, value_name = "LATENCY[.pN]=MS,…", value_parser = super::slo::parse)]
    slo: Option<String>,
    /// Search for a request rate in an open loop, not for a number of requests in flight
    #[arg(long)]
    rate: bool,
    /// The first level that is tried [default: 4 in flight, or 1 req/s]
    #[arg(long, value_name = "N", value_parser = level)]
    start: Option<f64>,
    /// The greatest level that is tried [default: 4096]
    #[arg(long, value_name = "N", value_parser = level)]
    most: Option<f64>,
    #[command(flatten)]
    workload: WorkloadOptions,
    /// Least measuring time of each trial (s) [default: 10, or 30 in an open loop, whose queues fill slowly]
    #[arg(long, value_name = "SECONDS", value_parser = super::run::seconds)]
    duration: Option<f64>,
    /// Greatest measuring time of a trial (s): it takes longer where a percentile needs more requests
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = super::run::seconds)]
    longest: f64,
    /// How long the load runs before each measurement (s) [default: 2, or 10 in an open loop]
    #[arg(long, value_name = "SECONDS", value_parser = super::run::seconds)]
    warm_up: Option<f64>,
    /// Number of windows of a trial, which show how much the requests depend on each other
    #[arg(long, value_name = "N", default_value_t = WINDOWS)]
    windows: NonZeroU32,
}

const WINDOWS: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// A level above 0.
fn level(text: &str) -> Result<f64, String> {
    let level = text
        .parse()
        .ok()
        .filter(|level| (0.001..=100_000.0).contains(level));
    level.ok_or_else(|| "a number from 0.001 to 100000 is expected".to_owned())
}

impl Arguments {
    fn flags(&self) -> Vec<Flag> {
        let shape = self.rate.then(|| "open".to_owned());
        let options = [
            (&keys::SLO, "--slo", "ttft.p95=500,tpot=50", &self.slo),
            (&keys::LOAD_SHAPE, "--rate", "open", &shape),
        ];
        let own = Flag::given(options);
        [self.servers.flags(), self.workload.flags(), own].concat()
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let times = TrialTimes {
        warm_up: arguments.warm_up.map(Duration::from_secs_f64),
        least: arguments.duration.map(Duration::from_secs_f64),
        longest: Duration::from_secs_f64(arguments.longest),
        windows: arguments.windows.get() as usize,
    };
    let search = CapacitySearch::new("capacity", arguments.workload.workload())
        .config(Config::of_options(arguments.flags()))
        .times(times)
        .levels(arguments.start, arguments.most);
    let found = match search.run() {
        Err(RunError::Interrupted { why, exit_code }) => {
            eprintln!("{why}; nothing was measured");
            return Ok(ExitCode::from(exit_code));
        }
        found => found?,
    };
    Ok(ExitCode::from(found.show()))
}
