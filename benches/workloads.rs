//! Throughput under requests of mixed lengths: the workloads of `WORKLOADS`.

use servemark::{Bench, Workload};

fn main() -> std::process::ExitCode {
    Bench::new("workloads", Workload::configured()).run()
}
