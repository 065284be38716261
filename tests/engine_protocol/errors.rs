//! Requests that cannot be served, in the words of vLLM.

use reqwest::Client;
use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;
use servemark::internals::engine::ContextOverflow;
use servemark::internals::engine::Engine;
use servemark::internals::engine::EngineOptions;
use servemark::internals::engine::SIMULATED_HEADER;

use crate::client::{CHAT, COMPLETIONS, at, options, post, start};

#[tokio::test]
async fn errors_have_the_form_of_vllm() {
    let engine = start("sim-small");
    let long: Vec<u32> = vec![7; 16_384];
    let table = [
        (
            CHAT,
            json!({"messages": [], "model": "other"}),
            404,
            "does not exist",
        ),
        (
            CHAT,
            json!({"messages": []}),
            400,
            "Cannot apply chat template",
        ),
        (CHAT, json!({}), 400, "body.messages"),
        (
            CHAT,
            json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            400,
            "image_url",
        ),
        (
            COMPLETIONS,
            json!({"prompt": "x", "max_tokens": 0}),
            400,
            "max_tokens must be at least 1",
        ),
        (
            COMPLETIONS,
            json!({"prompt": "x", "max_tokens": 2, "min_tokens": 3}),
            400,
            "min_tokens",
        ),
        (
            COMPLETIONS,
            json!({"prompt": "x", "echo": true}),
            400,
            "does not echo",
        ),
        (
            COMPLETIONS,
            json!({"prompt": "x", "temperature": -1}),
            400,
            "temperature",
        ),
        (
            COMPLETIONS,
            json!({"prompt": "x", "top_p": 0}),
            400,
            "top_p",
        ),
        (
            COMPLETIONS,
            json!({"prompt": "x", "prompt_logprobs": 1}),
            400,
            "no prompt logprobs",
        ),
        (
            COMPLETIONS,
            json!({"prompt": []}),
            400,
            "at least one prompt",
        ),
        (
            COMPLETIONS,
            json!({"prompt": [[1], []]}),
            400,
            "decoder prompt cannot be empty",
        ),
        (
            COMPLETIONS,
            json!({"prompt": vec![vec![1]; 3], "n": 16_384}),
            400,
            "at most 16384 choices",
        ),
        (
            COMPLETIONS,
            json!({"prompt": {"a": 1}}),
            400,
            "validation error",
        ),
        (
            COMPLETIONS,
            json!({"prompt": long}),
            400,
            "max_tokens must be at least 1, got 0",
        ),
        (
            COMPLETIONS,
            json!({"prompt": "x", "max_tokens": 16_384}),
            400,
            "maximum context length is 16384",
        ),
        (
            COMPLETIONS,
            json!({"prompt": "x", "max_tokens": 16_385}),
            400,
            "cannot be greater than max_model_len=16384",
        ),
        (
            COMPLETIONS,
            json!({"prompt": vec![7; 16_385]}),
            400,
            "exceeds this limit even without",
        ),
    ];
    for (path, body, status, words) in table {
        let response = post(&engine, path, &body).await;
        assert_eq!(response.status().as_u16(), status, "{path} {words}");
        assert_eq!(response.headers()[SIMULATED_HEADER], "sim-small");
        let answer: Value = response.json().await.expect("JSON");
        let error = &answer["error"];
        assert_eq!(error["code"], status, "{answer}");
        assert!(
            error["message"].as_str().expect("words").contains(words),
            "{answer}"
        );
        assert!(
            error["type"].is_string() && error.get("param").is_some(),
            "{answer}"
        );
    }
    for (path, status, detail) in [
        ("/v1/embeddings", 404, "Not Found"),
        ("/v1/models", 405, "Method Not Allowed"),
    ] {
        let response = post(&engine, path, &json!({})).await;
        assert_eq!(response.status().as_u16(), status);
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer, json!({"detail": detail}));
    }
    let broken = Client::new()
        .post(at(&engine, CHAT))
        .body("{\"messages\":")
        .send()
        .await
        .expect("answers");
    assert_eq!(broken.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_clamping_engine_generates_what_fits() {
    let context_overflow = ContextOverflow::Clamp;
    let mut options = EngineOptions {
        context_overflow,
        ..options("instant")
    };
    options.preset.scheduler.max_model_len = 64;
    let engine = Engine::start(options).expect("starts");
    let body = json!({"prompt": vec![7; 60], "max_tokens": 30, "ignore_eos": true});
    let answer: Value = post(&engine, COMPLETIONS, &body)
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(answer["usage"]["completion_tokens"], 4);
}
