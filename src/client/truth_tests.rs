//! The client's timestamps against the engine's ground truth, on one clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::config::{ConfigSource, Settings};
use crate::dialect::Completions;
use crate::engine::{Engine, EngineOptions, Preset};
use crate::metrics::Distribution;
use crate::prompt::shipped_tokenizer;

const STREAMS: usize = 8;
const TOKENS: usize = 40;

/// Steps of 10 ms: long beside what a busy machine holds a wake-up back.
fn engine() -> Engine {
    let mut preset = Preset::named("sim-small").expect("shipped");
    preset.step_time.base_us = 10_000.0;
    let tokenizer = Arc::new(shipped_tokenizer().expect("shipped"));
    Engine::start(EngineOptions::new(preset, tokenizer)).expect("starts")
}

/// A client whose requests ask for `TOKENS` tokens, and the body of each.
fn client(engine: &Engine, clock: Clock) -> (Client, Bytes) {
    let json = format!(r#"{{"MAX_NEW_TOKENS": {TOKENS}}}"#);
    let config = Settings::from_parts(ConfigSource::BuiltIn, &json, &|_| None).expect("valid");
    let connections = Connections::new().expect("TLS");
    let payload = PayloadTemplate::new(&config, &Completions, engine.model_name(), true);
    let body = payload.body("What is a good name for a grey cat?", None);
    (Client::new(connections, &config, &Completions, clock), body)
}

/// Sends one request that the engine knows as `name`; its timestamps.
async fn measure(client: &Client, body: &Bytes, engine: &Engine, name: &str) -> (u64, Completion) {
    let prepared = Prepared {
        url: engine.urls()[0].join("/v1/completions").expect("a path"),
        body: body.clone(),
        prompt_tokens: 10,
        output_tokens: None,
        keep_text: false,
        request_id: Some(name.to_owned()),
    };
    let exchange = client
        .send(prepared, &AtomicU32::new(0), &AtomicU64::new(0))
        .await;
    (exchange.sent_ns, exchange.result.expect("succeeds"))
}

fn show(name: &str, errors_ms: &[f64]) -> Distribution {
    let errors = Distribution::of(errors_ms.iter().copied(), 1.0).expect("some");
    let most = errors_ms.iter().copied().fold(f64::MIN, f64::max);
    println!(
        "{name} error: mean {:.3}, p50 {:.3}, p99 {:.3}, max {most:.3} ms",
        errors.mean, errors.p50, errors.p99
    );
    errors
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timestamps_follow_the_truth_closely() {
    let engine = engine();
    let clock = Clock::start();
    let origin = Instant::now() - Duration::from_nanos(clock.now_ns());
    let names: Vec<String> = (0..STREAMS).map(|k| format!("stream-{k}")).collect();
    let (client, body) = client(&engine, clock);
    let measured = names
        .iter()
        .map(|name| measure(&client, &body, &engine, name));
    let measured = futures_util::future::join_all(measured).await;

    let (mut ttft_ms, mut itl_ms) = (Vec::new(), Vec::new());
    let ms =
        |later: Duration, earlier: Duration| (later.as_secs_f64() - earlier.as_secs_f64()) * 1e3;
    for (name, (sent_ns, completion)) in names.iter().zip(measured) {
        let truth = engine.truth(&format!("cmpl-{name}")).expect("kept");
        let emitted: Vec<Duration> = truth.choices[0]
            .tokens(engine.epoch())
            .map(|at| at - origin)
            .collect();
        let seen: Vec<Duration> = completion
            .content_ns
            .iter()
            .map(Duration::from_nanos)
            .collect();
        assert_eq!((emitted.len(), seen.len()), (TOKENS, TOKENS));
        assert!(Duration::from_nanos(sent_ns) <= truth.arrival(engine.epoch()) - origin);
        for (seen, emitted) in seen.iter().zip(&emitted) {
            assert!(seen >= emitted, "no token is seen before it is emitted");
        }
        ttft_ms.push(ms(seen[0], emitted[0]));
        for (seen, emitted) in seen.windows(2).zip(emitted.windows(2)) {
            itl_ms.push(ms(seen[1], seen[0]) - ms(emitted[1], emitted[0]));
        }
    }
    let ttft = show("TTFT", &ttft_ms);
    let itl = show("ITL", &itl_ms);
    // Other tests want the same cores: a token may wait for the machine for some steps, but the
    // middle of them does not, and what one gap is too long the next is too short.
    assert!(ttft.p50 < 30.0, "{ttft:?}");
    assert!(itl.p50.abs() < 2.0, "{itl:?}");
    assert!(itl.mean.abs() < 2.0, "{itl:?}");
}
