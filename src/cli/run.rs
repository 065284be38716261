use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use super::output::{FORMATS, Output};
use super::servers::ServerOptions;
use super::workload::WorkloadOptions;
use crate::config::{Config, Flag, keys};
use crate::load::{LoadShape, OPEN, Sampling};
use crate::{Run, RunError, RunResult};

const EXAMPLES: &str = "\
Examples:
  servemark run
      a quick look at the embedded simulated engine; none of its figures is a GPU's
  servemark run --endpoint http://a:8000 --endpoint http://b:8000 --concurrency 1,8,64
  servemark run --prompt 25,1k --max-tokens 256 --duration 30
      two questions of the input file, longer answers, about 30 s per point
  servemark run --random-tokens 2000 --shape wave --slo ttft=200,tpot=50
      2000 random tokens through /v1/completions, in waves; goodput within these limits (ms)
  servemark run --workload rag --concurrency 8
      prompts and answers of mixed lengths, as of questions about retrieved passages; more in docs/workloads.md
  servemark run --rate 2,8,32 --duration 60
      an open loop: requests arrive at these rates (req/s), as from independent users; latencies count from the arrival
  servemark run --format vllm --output results/
      results of `vllm bench serve`, one file for each point

Over TLS: CA_FILE names a PEM file of further certificates to trust, such as a private CA's or a self-signed one.
INSECURE=true verifies none, and every output says so (SERVEMARK_CA_FILE, SERVEMARK_INSECURE).
Keys of parameters.json and SERVEMARK_<KEY> apply as for the benches; an option overrides its key.
The records are those of a benchmark called run: `servemark compare OLD new` works on them.
Exit codes: 0 all points measured, 1 a point failed, 2 nothing could run, 130, 143 or 129 if Ctrl-C, SIGTERM or
SIGHUP ended the run. The signal ends the point under way, which is marked \"partial\"; all that was measured is still
shown and saved. A second signal ends the process at once.";

#[derive(clap::Args)]
#[command(after_long_help = format!("{FORMATS}\n\n{EXAMPLES}"))]
pub struct Arguments {
    #[command(flatten)]
    servers: ServerOptions,
    /// Numbers of requests kept in flight, one after another [default: CONCURRENT_LEVELS, 1,8,32]
    #[arg(long, value_name = "N,…")]
    concurrency: Option<String>,
    /// Requests that arrive per second, one rate after another, or "max": an open loop [default with --shape open:
    /// REQUEST_RATES, 1,4,16]
    #[arg(long, value_name = "N,…", conflicts_with = "concurrency")]
    rate: Option<String>,
    /// How the gaps between arrivals are distributed: poisson, constant or gamma=SHAPE, the burstiness of `vllm bench
    /// serve` [default: ARRIVALS, poisson]
    #[arg(long, value_name = "PROCESS", value_parser = named_number)]
    arrivals: Option<String>,
    /// How the rate of an open loop rises to the point's before the warm-up: linear=SECONDS or exponential=SECONDS
    /// [default: RAMP, at once]
    #[arg(long, value_name = "RAMP", value_parser = named_number)]
    ramp: Option<String>,
    /// Requests of an open loop that may be in flight; those that arrive beyond it are counted as not sent [default:
    /// MAX_IN_FLIGHT, 4096]
    #[arg(long, value_name = "N")]
    max_in_flight: Option<String>,
    #[command(flatten)]
    workload: WorkloadOptions,
    /// When the next request starts [default: LOAD_SHAPE, or open with --rate]
    #[arg(long, value_name = "SHAPE", value_enum)]
    shape: Option<&'static LoadShape>,
    /// Approximate measuring time of each point (s)
    #[arg(long, value_name = "SECONDS", default_value_t = Sampling::DEFAULT.measurement.as_secs_f64(), value_parser = seconds)]
    duration: f64,
    /// How long the load runs before the measurement (s)
    #[arg(long, value_name = "SECONDS", default_value_t = Sampling::DEFAULT.warm_up.as_secs_f64(), value_parser = seconds)]
    warm_up: f64,
    /// Number of windows in the duration; the intervals of `compare` come from them
    #[arg(long, value_name = "N", default_value_t = WINDOWS)]
    windows: NonZeroU32,
    /// Limits that a request must meet to count for goodput (ms): ttft, tpot, itl, e2el [default: SLO]
    #[arg(long, value_name = "LATENCY=MS,…", value_parser = super::slo::parse)]
    slo: Option<String>,
    /// GPUs behind all endpoints, for figures per GPU [default: NUM_GPU]
    #[arg(long, value_name = "N")]
    num_gpu: Option<String>,
    #[command(flatten)]
    output: Output,
}

const WINDOWS: NonZeroU32 = NonZeroU32::new(Sampling::DEFAULT.windows as u32).unwrap();

/// Parses a time like Criterion's options: seconds above 0.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(seconds),
        _ => Err("must be above 0".to_owned()),
    }
}

/// Converts `gamma=0.5` to the object that is the value of a key; other texts are values already.
fn named_number(text: &str) -> Result<String, String> {
    let Some((name, number)) = text.split_once('=') else {
        return Ok(text.to_owned());
    };
    let number: f64 = number
        .parse()
        .map_err(|_| format!("{number:?} is not a number"))?;
    Ok(serde_json::json!({name: number}).to_string())
}

impl Arguments {
    /// The keys that the options set.
    fn flags(&self) -> Vec<Flag> {
        let open = self.rate.as_ref().map(|_| &OPEN);
        let shape = self.shape.or(open).map(|shape| shape.id.to_owned());
        let options = [
            (
                &keys::CONCURRENT_LEVELS,
                "--concurrency",
                "1,8,64",
                &self.concurrency,
            ),
            (&keys::REQUEST_RATES, "--rate", "2,8", &self.rate),
            (&keys::ARRIVALS, "--arrivals", "poisson", &self.arrivals),
            (&keys::RAMP, "--ramp", "linear=10", &self.ramp),
            (
                &keys::MAX_IN_FLIGHT,
                "--max-in-flight",
                "1000",
                &self.max_in_flight,
            ),
            (&keys::LOAD_SHAPE, "--shape", "wave", &shape),
            (&keys::SLO, "--slo", "ttft=200,tpot=50", &self.slo),
            (&keys::NUM_GPU, "--num-gpu", "8", &self.num_gpu),
        ];
        let own = Flag::given(options);
        [self.servers.flags(), self.workload.flags(), own].concat()
    }

    fn sampling(&self) -> Sampling {
        Sampling {
            warm_up: Duration::from_secs_f64(self.warm_up),
            measurement: Duration::from_secs_f64(self.duration),
            windows: self.windows.get() as usize,
        }
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = Config::of_options(arguments.flags());
    if let Err(error) = arguments.output.check() {
        eprintln!(
            "warning: {}; the figures are only shown",
            super::error::explain(&error)
        );
    }
    let run = Run::new(arguments.workload.workload())
        .config(config)
        .sampling(arguments.sampling());
    let ran = match run.measure() {
        Err(RunError::Interrupted { why, exit_code }) => {
            eprintln!("{why}; nothing was measured");
            return Ok(ExitCode::from(exit_code));
        }
        ran => ran?,
    };
    // Stdout holds only what a program reads; messages go to stderr.
    eprintln!();
    let output = &arguments.output;
    if output.output.is_some() && !output.is_table() {
        anstream::print!("{}", ran.styled_figures);
    }
    let written = output.write(&ran.records, &ran.styled_figures);
    if written.is_err() && output.output.is_some() && output.is_table() {
        // The figures are shown where they cannot be written.
        anstream::print!("{}", ran.styled_figures);
    }
    print_files(&ran);
    written?;
    // While `ran` lives, so that a signal that comes before all is printed is still this run's.
    crate::stdio::flush().context("standard output cannot be written")?;
    Ok(match (ran.interrupted(), ran.complete) {
        (Some(code), _) => ExitCode::from(code),
        (None, true) => ExitCode::SUCCESS,
        (None, false) => ExitCode::from(1),
    })
}

fn print_files(ran: &RunResult) {
    eprintln!();
    for problem in &ran.unwritten {
        eprintln!("error: {problem}");
    }
    if let Some(csv) = &ran.csv {
        eprintln!("Table as CSV:  {}", csv.display());
    }
    if !ran.records.is_empty() {
        eprintln!("Keep this run: servemark baseline save NAME");
    }
}
