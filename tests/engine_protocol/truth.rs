//! Ground truth, metrics and the speed of the simulated clock.

use reqwest::Client;
use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;
use servemark::internals::engine::Engine;
use servemark::internals::engine::EngineOptions;
use servemark::internals::engine::FinishReason;
use std::time::Duration;
use std::time::Instant;

use crate::client::{
    CHAT, COMPLETIONS, at, chat_body, events, get, metric, options, post, start, until_metric,
};

#[tokio::test]
async fn metrics_count_requests_tokens_and_prefix_hits() {
    let engine = start("instant");
    let prompt: Vec<u32> = (0..33).collect();
    let body = json!({"prompt": prompt, "max_tokens": 10, "ignore_eos": true});
    for _ in 0..2 {
        post(&engine, COMPLETIONS, &body)
            .await
            .bytes()
            .await
            .expect("body");
    }
    until_metric(&engine, "vllm:num_requests_running", 0.0).await;
    assert_eq!(metric(&engine, "vllm:prompt_tokens_total").await, 66.0);
    assert_eq!(metric(&engine, "vllm:generation_tokens_total").await, 20.0);
    assert_eq!(
        metric(&engine, "vllm:prefix_cache_queries_total").await,
        66.0
    );
    assert_eq!(metric(&engine, "vllm:prefix_cache_hits_total").await, 32.0);
    assert_eq!(
        metric(&engine, "vllm:time_to_first_token_seconds_count").await,
        2.0
    );
    assert_eq!(
        metric(&engine, "vllm:inter_token_latency_seconds_count").await,
        18.0
    );
    assert_eq!(
        metric(&engine, "vllm:e2e_request_latency_seconds_count").await,
        2.0
    );
    assert_eq!(metric(&engine, "vllm:kv_cache_usage_perc").await, 0.0);
}

#[tokio::test]
async fn the_truth_lies_between_sending_and_receiving() {
    let engine = start("sim-small");
    let sent = Instant::now();
    let request = Client::new()
        .post(at(&engine, CHAT))
        .header("X-Request-Id", "abc")
        .json(&chat_body(6));
    let text = request
        .send()
        .await
        .expect("answers")
        .text()
        .await
        .expect("text");
    let received = Instant::now();
    assert_eq!(events(&text)[0]["id"], "chatcmpl-abc");

    let truth = engine.truth("chatcmpl-abc").expect("kept");
    let choice = &truth.choices[0];
    let tokens: Vec<Instant> = choice.tokens(engine.epoch()).collect();
    assert_eq!(
        (tokens.len(), choice.finish_reason),
        (6, Some(FinishReason::Length))
    );
    assert!(sent <= truth.arrival(engine.epoch()));
    assert!(truth.arrival(engine.epoch()) < tokens[0]);
    assert!(tokens.is_sorted());
    assert!(tokens[5] <= received);
    // Five steps of about 4 ms lie between the first and the last token; load only adds to that.
    assert!(
        tokens[5] - tokens[0] > Duration::from_millis(14),
        "{:?}",
        tokens[5] - tokens[0]
    );

    let served: Value = get(&engine, "/servemark/truth/chatcmpl-abc")
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(served["choices"][0]["token_ns"], json!(choice.token_ns));
    assert_eq!(choice.written_ns.len(), 6);
    for (written, emitted) in choice.written_ns.iter().zip(&choice.token_ns) {
        assert!(written >= emitted, "a token is written after it is emitted");
    }
    let epoch: Value = get(&engine, "/servemark/truth")
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(epoch["epoch_monotonic_ns"].is_u64(), cfg!(unix), "{epoch}");
    assert_eq!(
        get(&engine, "/servemark/truth/none").await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_slower_engine_is_slower_and_a_scaled_one_faster() {
    let span = async |options: EngineOptions| {
        let engine = Engine::start(options).expect("starts");
        let body = chat_body(30);
        let text = post(&engine, CHAT, &body).await.text().await.expect("text");
        let id = events(&text)[0]["id"].as_str().expect("an id").to_owned();
        let truth = engine.truth(&id).expect("kept");
        let token_ns = &truth.choices[0].token_ns;
        (token_ns[29] - token_ns[0]) as f64
    };
    let normal = span(options("sim-small")).await;
    let slowdown = servemark::internals::engine::Slowdown::uniform(3.0);
    let slow = span(EngineOptions {
        slowdown,
        ..options("sim-small")
    })
    .await;
    let fast = span(EngineOptions {
        speed: 10.0,
        ..options("sim-small")
    })
    .await;
    assert!(slow / normal > 1.5, "{slow} / {normal}");
    assert!(fast / normal < 0.7, "{fast} / {normal}");
}
