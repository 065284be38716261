//! Throughput of chat models: the questions of `INPUT_FILE` through `/v1/chat/completions`.

use servemark::{Bench, Workload};

fn main() -> std::process::ExitCode {
    Bench::new("chat_throughput", Workload::chat()).run()
}
