//! A run is one run: what it did not measure is missing, its points share no files, and it measures its own
//! servers.

#[path = "../cargo_bench/mod.rs"]
mod cargo_bench;
#[path = "../engines/mod.rs"]
mod engines;
mod files;
mod in_one_process;
mod missing;
#[path = "../records/mod.rs"]
mod records;
mod refused;
mod saved;
#[cfg(unix)]
#[path = "../signalled/mod.rs"]
mod signalled;
mod undefined;

use std::fs;
use std::path::Path;

use cargo_bench::CargoBench;
use serde_json::Value;
use servemark::RunRecord;
use servemark::internals::engine::Engine;

/// Short, but long enough for some windows; plots take more time than the load.
const SHORT: [&str; 5] = [
    "--noplot",
    "--warm-up-time",
    "0.1",
    "--measurement-time",
    "0.5",
];

fn url(engine: &Engine) -> String {
    engine.urls()[0].to_string()
}

/// The chat bench with two points, one of them at each of two concurrencies, against an engine.
fn two_points(engine: &Engine) -> CargoBench {
    let mut bench = CargoBench::one_point();
    bench
        .env("SERVEMARK_CONCURRENT_LEVELS", "2,4")
        .env("SERVEMARK_METRICS", "output_tok_s,rps")
        .env("SERVEMARK_MODEL_ENDPOINTS", &url(engine));
    bench
}

/// A bench with the same two points on each of two deployments, each of them one engine.
fn two_deployments(one: &Engine, two: &Engine) -> CargoBench {
    let deployments = serde_json::json!([
        {"name": "one", "endpoints": [url(one)]},
        {"name": "two", "endpoints": [url(two)]},
    ]);
    let mut bench = CargoBench::new("deployments");
    bench
        .env("SERVEMARK_DEPLOYMENTS", &deployments.to_string())
        .env("SERVEMARK_PROMPT_KEYS", "25")
        .env("SERVEMARK_MAX_NEW_TOKENS", "4")
        .env("SERVEMARK_CONCURRENT_LEVELS", "2,4")
        .env("SERVEMARK_METRICS", "rps");
    bench
}

/// The record of a point of the question of 25 tokens.
fn record(results: &Path, concurrency: usize, name: &str) -> RunRecord {
    let path = format!("servemark/chat_throughput/25/c={concurrency}/{name}.json");
    RunRecord::read(&results.join(path)).expect("a record")
}

/// Returns the planned points of the last run of the records of this name.
fn plan(results: &Path, name: &str) -> Value {
    let path = format!("servemark/chat_throughput/runs/{name}.plan.json");
    let text = fs::read(results.join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_slice(&text).expect("JSON")
}
