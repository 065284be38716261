//! Starting engines and asking them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use serde_json::{Value, json};
use servemark::internals::engine::{Engine, EngineOptions, Faults, Preset};
use tokenizers::Tokenizer;

pub const CHAT: &str = "/v1/chat/completions";
pub const COMPLETIONS: &str = "/v1/completions";

pub fn tokenizer() -> Arc<Tokenizer> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/tokenizer/tokenizer.json"
    );
    Arc::new(Tokenizer::from_file(path).expect("the shipped tokenizer"))
}

pub fn options(preset: &str) -> EngineOptions {
    EngineOptions::new(Preset::named(preset).expect("shipped"), tokenizer())
}

pub fn start(preset: &str) -> Engine {
    Engine::start(options(preset)).expect("starts")
}

pub fn with_faults(faults: &str) -> Engine {
    let faults: Faults = faults.parse().expect("valid");
    Engine::start(EngineOptions {
        faults,
        ..options("instant")
    })
    .expect("starts")
}

pub fn at(engine: &Engine, path: &str) -> String {
    engine.urls()[0].join(path).expect("a path").to_string()
}

pub async fn get(engine: &Engine, path: &str) -> Response {
    Client::new()
        .get(at(engine, path))
        .send()
        .await
        .expect("answers")
}

pub async fn post(engine: &Engine, path: &str, body: &Value) -> Response {
    Client::new()
        .post(at(engine, path))
        .json(body)
        .send()
        .await
        .expect("answers")
}

pub async fn metric(engine: &Engine, name: &str) -> f64 {
    let text = get(engine, "/metrics").await.text().await.expect("text");
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name}{{")));
    let line = line.unwrap_or_else(|| panic!("{name} not in\n{text}"));
    line.rsplit(' ')
        .next()
        .and_then(|value| value.parse().ok())
        .expect("a number")
}

/// Waits until a metric has a value; a bound, not a measurement.
pub async fn until_metric(engine: &Engine, name: &str, wanted: f64) {
    let start = Instant::now();
    while metric(engine, name).await != wanted {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{name} never became {wanted}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn chat_body(max_tokens: u32) -> Value {
    json!({
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "max_tokens": max_tokens,
        "ignore_eos": true,
        "stream": true,
        "stream_options": {"include_usage": true},
    })
}

/// The payloads of a stream's events; all must be `data:` events.
pub fn payloads(text: &str) -> Vec<String> {
    let event = |event: &str| {
        event
            .strip_prefix("data: ")
            .expect("a data event")
            .to_owned()
    };
    let body = text.strip_suffix("\n\n").expect("ends with a blank line");
    body.split("\n\n").map(event).collect()
}

/// The JSON events of a complete stream.
pub fn events(text: &str) -> Vec<Value> {
    let mut payloads = payloads(text);
    assert_eq!(payloads.pop().as_deref(), Some("[DONE]"));
    let parse = |payload: &String| serde_json::from_str(payload).expect("JSON");
    payloads.iter().map(parse).collect()
}
