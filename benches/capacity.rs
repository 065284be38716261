//! How many requests in flight (or per second, with `LOAD_SHAPE: "open"`) the endpoints hold within `SLO`.

use servemark::{Bench, Workload};

fn main() -> std::process::ExitCode {
    Bench::capacity("capacity", Workload::chat()).run()
}
