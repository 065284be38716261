//! `cargo bench --bench deployments` as a user runs it: servers that the harness starts, measures and stops.

#[path = "../cargo_bench/mod.rs"]
mod cargo_bench;
mod embedded;
#[path = "../engines/mod.rs"]
mod engines;
mod lifecycle;
mod measured;
#[path = "../slowed/mod.rs"]
mod slowed;

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cargo_bench::CargoBench;
use serde_json::Value;

/// Short, but long enough for some windows.
const SHORT: [&str; 4] = ["--warm-up-time", "0.2", "--measurement-time", "1"];

/// A bench of these deployments: one short question, one metric.
fn bench(deployments: Value) -> CargoBench {
    let mut bench = CargoBench::new("deployments");
    bench
        .env("SERVEMARK_DEPLOYMENTS", &deployments.to_string())
        .env("SERVEMARK_PROMPT_KEYS", "25")
        .env("SERVEMARK_MAX_NEW_TOKENS", "16")
        .env("SERVEMARK_CONCURRENT_LEVELS", "4")
        .env("SERVEMARK_METRICS", "output_tok_s")
        .env("SERVEMARK_READY_TIMEOUT", "60");
    bench
}

/// A simulated vLLM as a process of its own, with these further options.
fn engine(options: &str) -> String {
    let servemark = env!("CARGO_BIN_EXE_servemark");
    format!("'{servemark}' engine --preset sim-small --port {{port}} {options}")
}

/// The record of a deployment's point.
fn record(bench: &CargoBench, concurrency: usize, deployment: &str) -> Value {
    record_at(bench, &format!("c={concurrency}"), deployment)
}

/// The same at any level.
fn record_at(bench: &CargoBench, level: &str, deployment: &str) -> Value {
    let path: PathBuf = bench.results().join(format!(
        "servemark/deployments/25/{level}/{deployment}.json"
    ));
    let text = std::fs::read_to_string(&path).expect("a record");
    serde_json::from_str(&text).expect("a record in JSON")
}

/// The ports at which a record's servers were.
fn ports(record: &Value) -> Vec<u16> {
    let endpoints = record["endpoints"].as_array().expect("endpoints");
    let port = |endpoint: &Value| {
        let url = endpoint["url"].as_str().expect("a URL");
        let port = url.trim_end_matches('/').rsplit(':').next();
        port.and_then(|port| port.parse().ok()).expect("a port")
    };
    endpoints.iter().map(port).collect()
}

/// Whether something listens there.
fn serves(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// A port that no other process uses, which identifies a process.
fn mark() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// Whether a process runs that has this among its arguments.
#[cfg(target_os = "linux")]
fn runs(argument: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let command_lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
    command_lines.into_iter().any(|line| {
        let mut arguments = line.split(|byte| *byte == 0);
        arguments.any(|known| known == argument.as_bytes())
    })
}

/// Waits until something holds, at most half a minute.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
