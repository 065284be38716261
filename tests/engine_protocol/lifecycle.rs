//! Starting, stopping, replicas and clients that leave.

use reqwest::Client;
use serde_json::Value;
use serde_json::json;
use servemark::internals::engine::Engine;
use servemark::internals::engine::EngineOptions;
use std::time::Duration;
use std::time::Instant;

use crate::client::{
    CHAT, COMPLETIONS, at, chat_body, events, get, metric, options, post, start, until_metric,
};

#[tokio::test]
async fn a_client_that_leaves_frees_its_blocks() {
    let engine = start("sim-small");
    let mut response = post(&engine, CHAT, &chat_body(10_000)).await;
    response
        .chunk()
        .await
        .expect("reads")
        .expect("a first event");
    assert!(metric(&engine, "vllm:kv_cache_usage_perc").await > 0.0);
    drop(response);
    until_metric(&engine, "vllm:num_requests_running", 0.0).await;
    until_metric(&engine, "vllm:kv_cache_usage_perc", 0.0).await;
    let text = get(&engine, "/metrics").await.text().await.expect("text");
    let aborted = |line: &str| line.contains("finished_reason=\"abort\"") && line.ends_with(" 1");
    assert!(text.lines().any(aborted), "{text}");
}

#[tokio::test]
async fn replicas_are_servers_of_their_own() {
    let engine = Engine::start(EngineOptions {
        replicas: 3,
        ..options("instant")
    })
    .expect("starts");
    assert_eq!(engine.urls().len(), 3);
    let url = engine.urls()[2].join(COMPLETIONS).expect("a path");
    let body = json!({"prompt": "x", "max_tokens": 2, "ignore_eos": true});
    let answer: Value = Client::new()
        .post(url)
        .json(&body)
        .send()
        .await
        .expect("answers")
        .json()
        .await
        .expect("JSON");
    let truth = engine
        .truth(answer["id"].as_str().expect("an id"))
        .expect("kept");
    assert_eq!(truth.replica, 2);
    assert_eq!(
        metric(&engine, "vllm:generation_tokens_total").await,
        0.0,
        "the first replica's"
    );
}

#[tokio::test]
async fn dropping_the_engine_frees_its_port_in_the_middle_of_streams() {
    let engine = start("sim-small");
    let url = engine.urls()[0].clone();
    let port = url.port().expect("a port");
    let mut response = post(&engine, CHAT, &chat_body(10_000)).await;
    response
        .chunk()
        .await
        .expect("reads")
        .expect("a first event");
    let start = Instant::now();
    drop(engine);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    let rest = tokio::time::timeout(Duration::from_secs(5), response.bytes()).await;
    assert!(rest.expect("ends").is_err(), "the stream was not complete");
    let again = Engine::start(EngineOptions {
        port: Some(port),
        ..options("instant")
    });
    assert_eq!(again.expect("the port is free").urls()[0], url);
}

#[test]
fn a_taken_port_and_bad_options_are_explained() {
    let engine = start("instant");
    let port = engine.urls()[0].port();
    let table = [
        (
            EngineOptions {
                port,
                ..options("instant")
            },
            "cannot listen on 127.0.0.1",
        ),
        (
            EngineOptions {
                replicas: 0,
                ..options("instant")
            },
            "replicas",
        ),
        (
            EngineOptions {
                speed: 0.0,
                ..options("instant")
            },
            "speed",
        ),
        (
            EngineOptions {
                port: Some(65_535),
                replicas: 2,
                ..options("instant")
            },
            "port",
        ),
    ];
    for (options, words) in table {
        let error = Engine::start(options).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn concurrent_streams_lose_no_token() {
    let engine = start("instant");
    let tasks = (0..64).map(|_| {
        let request = Client::new().post(at(&engine, CHAT)).json(&chat_body(100));
        tokio::spawn(async move {
            request
                .send()
                .await
                .expect("answers")
                .text()
                .await
                .expect("text")
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        let text = task.await.expect("runs");
        assert_eq!(events(&text).len(), 102);
    }
    until_metric(&engine, "vllm:generation_tokens_total", 6400.0).await;
}
