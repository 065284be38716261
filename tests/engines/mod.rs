//! Simulated servers on real sockets, to run the command and the benches against.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;

use servemark::internals::config::EndpointUrl;
use servemark::internals::endpoint::{Http, ServerMetrics};
use servemark::internals::engine::{Engine, EngineOptions, Faults, Preset};
use servemark::internals::prompt::shipped_tokenizer;

/// A small one, changed so.
pub fn engine(change: impl FnOnce(&mut EngineOptions)) -> Engine {
    let preset = Preset::named("sim-small").expect("a shipped preset");
    let tokenizer = Arc::new(shipped_tokenizer().expect("a shipped tokenizer"));
    let mut options = EngineOptions::new(preset, tokenizer);
    change(&mut options);
    Engine::start(options).expect("an engine")
}

/// One that errs so.
pub fn faults(faults: &str) -> Engine {
    let faults: Faults = faults.parse().expect("faults");
    engine(|options| options.faults = faults)
}

/// How many requests the engine has answered.
pub fn successes(engine: &Engine) -> f64 {
    successes_at(engine.urls()[0].as_str())
}

/// How many prompt tokens the engine at this address has computed.
pub fn prompt_tokens_at(url: &str) -> f64 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let http = Http::new(reqwest::Client::new(), Default::default());
    let url = EndpointUrl::parse(url).expect("the engine's address");
    let metrics = runtime.block_on(ServerMetrics::scrape(&http, &url));
    let counters = metrics.expect("the engine's /metrics").counters;
    counters.prompt_tokens_total.expect("a counter")
}

/// How many requests the engine at this address has answered.
pub fn successes_at(url: &str) -> f64 {
    let mut found = 0.0;
    watch_successes(url, |successes| {
        found = successes;
        true
    });
    found
}

/// Waits until the engine has answered `requests` requests.
pub fn wait_for_successes(engine: &Engine, requests: f64) {
    watch_successes(engine.urls()[0].as_str(), |successes| successes >= requests);
}

/// Asks the engine at this address how many requests it has answered until that is `enough`.
fn watch_successes(url: &str, mut enough: impl FnMut(f64) -> bool) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let http = Http::new(reqwest::Client::new(), Default::default());
    let url = EndpointUrl::parse(url).expect("the engine's address");
    runtime.block_on(async {
        loop {
            let metrics = ServerMetrics::scrape(&http, &url).await;
            let counters = metrics.expect("the engine's /metrics").counters;
            if enough(counters.request_success_total.unwrap_or(0.0)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
}
