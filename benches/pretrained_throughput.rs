//! Throughput of pretrained models: random-token prompts of an exact length through `/v1/completions`.

use servemark::{Bench, Workload};

fn main() -> std::process::ExitCode {
    Bench::new("pretrained_throughput", Workload::random_tokens()).run()
}
