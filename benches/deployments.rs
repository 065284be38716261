//! Layouts of one model over GPUs, or versions of a server: the chat questions to each entry of `DEPLOYMENTS`.

use servemark::{Bench, Workload};

fn main() -> std::process::ExitCode {
    Bench::deployments("deployments", Workload::chat()).run()
}
