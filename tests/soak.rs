//! A load that goes on: memory grows only by what is kept of each token, no descriptor stays open, and client and
//! engine count the same requests.
//!
//! A minute here; an hour of 1,000 streams at 10 ms a token is
//! `SERVEMARK_SOAK="1000 3600 1" cargo test --profile bench --test soak -- --nocapture`.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the benches use more of it")]
#[path = "../benches/engine_process/mod.rs"]
mod engine_process;
mod engines;
#[path = "../benches/client_overhead/requests.rs"]
mod requests;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_process::EngineProcess;
use engines::prompt_tokens_at;
use requests::Requests;
use servemark::internals::client::{Client, Clock, Connections, PayloadTemplate};
use servemark::internals::config::{Config, Settings, SteadyStart};
use servemark::internals::dialect::Completions;
use servemark::internals::file_limit::raise_file_limit;
use servemark::internals::fixture::load_runtime;
use servemark::internals::load::{Load, steady};
use servemark::internals::metrics::count_failures;
use servemark::internals::requests::Requests as Ended;
use url::Url;

const MODEL: &str = "soaked";

/// 1 % of the requests fail, half of them after the first tokens: the engine has computed their prompts.
const FAULTS: &str = "--faults=http_503=0.005,cut=0.005";

/// How the second kind is counted.
const CUT: &str = "stream cut short";

/// Allowed growth of memory beside the records kept (bytes).
const SPARE: u64 = 8 << 20;

/// Bytes that may be kept per content event, including the requests' own share.
const PER_EVENT: u64 = 4;

/// Streams, for how many seconds, and the engine's `--speed`.
fn size() -> (usize, u64, String) {
    let given = std::env::var("SERVEMARK_SOAK").unwrap_or_else(|_| "50 60 1".to_owned());
    let parts: Vec<&str> = given.split(' ').collect();
    let [streams, seconds, speed] = parts[..] else {
        panic!("SERVEMARK_SOAK is no STREAMS SECONDS SPEED: {given}");
    };
    (
        streams.parse().expect("a number of streams"),
        seconds.parse().expect("seconds"),
        format!("--speed={speed}"),
    )
}

/// Resident memory of a process (bytes).
fn resident(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.expect("VmRSS").trim().trim_end_matches("kB").trim();
    kilobytes.parse::<u64>().expect("a number") * 1024
}

/// Open descriptors of a process.
fn descriptors(process: &str) -> usize {
    fs::read_dir(format!("/proc/{process}/fd"))
        .expect("Linux")
        .count()
}

#[test]
fn memory_and_descriptors_do_not_grow_and_no_request_is_lost() {
    let (streams, seconds, speed) = size();
    raise_file_limit().expect("enough descriptors");
    let served = format!("--served-model-name={MODEL}");
    let engine = EngineProcess::start(&["--preset=fixed-interval", FAULTS, &served, &speed]);
    let engine = engine.expect("an engine");
    let engine_id = engine.child.id().to_string();
    let config = Settings::load(&Config::new()).expect("the shipped configuration");
    let runtime = load_runtime().expect("threads");
    let clock = Clock::start();
    let before = descriptors("self");
    let client = Client::new(
        Connections::new().expect("connections"),
        &config,
        &Completions,
        clock,
    );
    let url = Url::parse(&engine.url).and_then(|url| url.join("v1/completions"));
    let payload = PayloadTemplate::new(&config, &Completions, MODEL, true);
    let target = Requests::new(client, url.expect("an address"), payload.body("x", None));
    let concurrency = streams.try_into().expect("some");
    let mut load = Load::start(
        runtime.handle().clone(),
        Arc::new(target),
        |begin_ns| steady(begin_ns, concurrency, SteadyStart::Together),
        clock,
    );
    let begin = Instant::now();
    let mut ended = Ended::default();
    // The first rounds allocate memory that later rounds reuse.
    ended.extend(load.window(20).requests.iter());
    let (first, first_engine, first_events) =
        (resident("self"), resident(&engine_id), events(&ended));
    let mut open = 0;
    while begin.elapsed() < Duration::from_secs(seconds) {
        ended.extend(load.window(1).requests.iter());
        open = open.max(descriptors("self"));
    }
    let kept = PER_EVENT * (events(&ended) - first_events);
    let (last, last_engine) = (resident("self"), resident(&engine_id));
    // One that failed may leave its connection to be closed while the next is opened.
    assert!(
        open <= before + 2 * streams + 64,
        "{open} descriptors of {streams} streams"
    );
    ended.extend(load.drain());
    let failures = count_failures(ended.iter());
    let failed: usize = failures.iter().map(|failure| failure.count).sum();
    println!(
        "{streams} streams, {} s: {} requests, {failed} failed, {} token events; client {} to {} kB (may: {} kB), engine {} to {} kB, {before} to {open} descriptors",
        begin.elapsed().as_secs(),
        ended.len(),
        events(&ended),
        first / 1024,
        last / 1024,
        (first + kept + SPARE) / 1024,
        first_engine / 1024,
        last_engine / 1024,
    );
    assert_eq!(ended.succeeded() + failed, ended.len());
    let cut = failures.iter().filter(|failure| failure.cause == CUT);
    let begun = ended.succeeded() + cut.map(|failure| failure.count).sum::<usize>();
    let prompt = ended
        .completed()
        .find_map(|request| request.outcome.usage_input);
    let prompt_tokens = begun as f64 * f64::from(prompt.expect("usage"));
    assert_eq!(
        prompt_tokens,
        prompt_tokens_at(&engine.url),
        "the engine's count"
    );
    let causes: Vec<&str> = failures.iter().map(|failure| &*failure.cause).collect();
    assert!(
        causes.iter().all(|cause| ["HTTP 503", CUT].contains(cause)),
        "{failures:?}"
    );
    // A share of 1 % of N requests has a deviation of the root of 0.01 ÷ N.
    let share = failed as f64 / ended.len() as f64;
    assert!(
        (share - 0.01).abs() < 5.0 * (0.01 / ended.len() as f64).sqrt(),
        "{share}"
    );
    assert!(
        last <= first + kept + SPARE,
        "{first} to {last} bytes, of which {kept} are kept"
    );
    assert!(
        last_engine <= first_engine + 2 * SPARE,
        "the engine: {first_engine} to {last_engine} bytes"
    );
    drop(runtime);
    assert!(descriptors("self") <= before, "descriptors stay open");
}

fn events(ended: &Ended) -> u64 {
    let events = ended
        .completed()
        .map(|request| request.outcome.content_ns.len() as u64);
    events.sum()
}
