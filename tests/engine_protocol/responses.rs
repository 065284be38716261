//! Chat and completions, streamed and whole, and the small endpoints.

use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;
use servemark::internals::engine::SIMULATED_HEADER;

use crate::client::{CHAT, COMPLETIONS, chat_body, events, get, post, start};

#[tokio::test]
async fn a_chat_stream_has_role_tokens_finish_usage_and_done() {
    let engine = start("instant");
    let response = post(&engine, CHAT, &chat_body(5)).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers()["content-type"],
        "text/event-stream; charset=utf-8"
    );
    assert_eq!(response.headers()[SIMULATED_HEADER], "instant");
    let events = events(&response.text().await.expect("text"));
    assert_eq!(events.len(), 1 + 5 + 1);

    let id = events[0]["id"].as_str().expect("an id");
    assert!(id.starts_with("chatcmpl-"), "{id}");
    for event in &events {
        assert_eq!(event["id"], id);
        assert_eq!(event["object"], "chat.completion.chunk");
        assert_eq!(event["model"], "simulated/instant");
    }
    assert_eq!(
        events[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": ""})
    );
    for (index, event) in events[1..6].iter().enumerate() {
        let choice = &event["choices"][0];
        assert!(
            !choice["delta"]["content"]
                .as_str()
                .expect("text")
                .is_empty()
        );
        let finish = if index == 4 {
            json!("length")
        } else {
            Value::Null
        };
        assert_eq!(choice["finish_reason"], finish);
        assert!(
            event.get("usage").is_none(),
            "only the last event has usage: {event}"
        );
    }
    let last = &events[6];
    assert_eq!(last["choices"], json!([]));
    let prompt = last["usage"]["prompt_tokens"].as_u64().expect("a count");
    assert_eq!(last["usage"]["completion_tokens"], 5);
    assert_eq!(last["usage"]["total_tokens"], prompt + 5);

    let body = json!({"messages": chat_body(5)["messages"]});
    let counted: Value = post(&engine, "/tokenize", &body)
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(counted["count"], prompt);
}

#[tokio::test]
async fn a_completion_stream_without_usage_names_the_fingerprint_last() {
    let engine = start("instant");
    let body =
        json!({"prompt": "Once upon a time", "max_tokens": 3, "ignore_eos": true, "stream": true});
    let events = events(
        &post(&engine, COMPLETIONS, &body)
            .await
            .text()
            .await
            .expect("text"),
    );
    assert_eq!(events.len(), 3);
    for event in &events {
        assert_eq!(event["object"], "text_completion");
        assert!(
            !event["choices"][0]["text"]
                .as_str()
                .expect("text")
                .is_empty()
        );
    }
    assert!(
        events[2]["system_fingerprint"]
            .as_str()
            .expect("named")
            .starts_with("vllm-")
    );
    assert_eq!(events[2]["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn continuous_usage_counts_up() {
    let engine = start("instant");
    let mut body = chat_body(3);
    body["stream_options"]["continuous_usage_stats"] = json!(true);
    let events = events(&post(&engine, CHAT, &body).await.text().await.expect("text"));
    let counts: Vec<_> = events
        .iter()
        .map(|event| event["usage"]["completion_tokens"].as_u64())
        .collect();
    assert_eq!(counts, [0, 1, 2, 3, 3].map(Some));
}

#[tokio::test]
async fn a_whole_answer_has_the_text_of_the_stream() {
    let engine = start("instant");
    for (path, prompt) in [(CHAT, "messages"), (COMPLETIONS, "prompt")] {
        let mut body = chat_body(8);
        body["seed"] = json!(42);
        body["prompt"] = json!([5, 6, 7]);
        let streamed: String =
            events(&post(&engine, path, &body).await.text().await.expect("text"))
                .iter()
                .filter_map(|event| event["choices"].get(0))
                .map(|choice| {
                    choice["delta"]["content"]
                        .as_str()
                        .or(choice["text"].as_str())
                        .expect("text")
                })
                .collect();
        body["stream"] = json!(false);
        let whole: Value = post(&engine, path, &body).await.json().await.expect("JSON");
        let choice = &whole["choices"][0];
        let text = choice["message"]["content"]
            .as_str()
            .or(choice["text"].as_str());
        assert_eq!(text, Some(streamed.as_str()), "{path} {prompt}");
        assert_eq!(whole["usage"]["completion_tokens"], 8);
        assert_eq!(choice["finish_reason"], "length");
    }
}

#[tokio::test]
async fn content_may_be_parts_and_prompts_token_ids() {
    let engine = start("instant");
    let usage = async |path, body: &Value| {
        let answer: Value = post(&engine, path, body).await.json().await.expect("JSON");
        answer["usage"]["prompt_tokens"]
            .as_u64()
            .unwrap_or_else(|| panic!("{answer}"))
    };
    let chat = |content: Value| json!({"messages": [{"role": "user", "content": content}], "max_tokens": 1});
    let plain = usage(CHAT, &chat(json!("Hello there"))).await;
    let parts = usage(
        CHAT,
        &chat(json!([{"type": "text", "text": "Hello there"}])),
    )
    .await;
    assert_eq!(plain, parts);
    for prompt in [json!([9, 10, 11, 12]), json!([[9, 10, 11, 12]])] {
        assert_eq!(
            usage(COMPLETIONS, &json!({"prompt": prompt, "max_tokens": 1})).await,
            4
        );
    }
    let texts = [json!("Hello there"), json!(["Hello there"])];
    let expected: Value = post(&engine, "/tokenize", &json!({"prompt": "Hello there"}))
        .await
        .json()
        .await
        .expect("JSON");
    for prompt in texts {
        assert_eq!(
            usage(COMPLETIONS, &json!({"prompt": prompt, "max_tokens": 1})).await,
            expected["count"]
        );
    }
}

#[tokio::test]
async fn ignoring_the_end_of_sequence_matters() {
    let engine = start("instant");
    let mut lengths = Vec::new();
    for seed in 0..40 {
        let body = json!({"prompt": "x", "max_tokens": 128, "seed": seed});
        let answer: Value = post(&engine, COMPLETIONS, &body)
            .await
            .json()
            .await
            .expect("JSON");
        let reason = if answer["usage"]["completion_tokens"] == 128 {
            "length"
        } else {
            "stop"
        };
        assert_eq!(answer["choices"][0]["finish_reason"], reason);
        lengths.push(
            answer["usage"]["completion_tokens"]
                .as_u64()
                .expect("a count"),
        );
    }
    let full = lengths.iter().filter(|length| **length == 128).count();
    assert!((5..35).contains(&full), "{lengths:?}");
}

#[tokio::test]
async fn a_stop_string_ends_the_text_before_it() {
    let engine = start("instant");
    let mut body = json!({"prompt": "x", "max_tokens": 64, "seed": 3, "ignore_eos": true});
    let text = async |body: &Value| {
        let answer: Value = post(&engine, COMPLETIONS, body)
            .await
            .json()
            .await
            .expect("JSON");
        (
            answer["choices"][0]["text"]
                .as_str()
                .expect("text")
                .to_owned(),
            answer,
        )
    };
    let (full, _) = text(&body).await;
    let middle: String = full.chars().skip(20).take(4).collect();
    body["stop"] = json!([middle]);
    let (cut, answer) = text(&body).await;
    assert_eq!(Some(cut.len()), full.find(&middle));
    assert!(full.starts_with(&cut));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["choices"][0]["stop_reason"], json!(middle));
    body["stream"] = json!(true);
    let streamed: String = events(
        &post(&engine, COMPLETIONS, &body)
            .await
            .text()
            .await
            .expect("text"),
    )
    .iter()
    .map(|event| event["choices"][0]["text"].as_str().expect("text"))
    .collect();
    assert_eq!(streamed, cut);
}

#[tokio::test]
async fn the_small_endpoints_answer() {
    let engine = start("sim-small");
    assert_eq!(
        get(&engine, "/health")
            .await
            .bytes()
            .await
            .expect("body")
            .len(),
        0
    );
    let version: Value = get(&engine, "/version").await.json().await.expect("JSON");
    assert!(
        version["version"]
            .as_str()
            .expect("a version")
            .contains("simulated")
    );
    let models: Value = get(&engine, "/v1/models").await.json().await.expect("JSON");
    assert_eq!(models["data"][0]["id"], engine.model_name());
    assert_eq!(models["data"][0]["max_model_len"], 16_384);
    let body = json!({"prompt": "Hello there, world"});
    let tokens: Value = post(&engine, "/tokenize", &body)
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(
        tokens["count"],
        tokens["tokens"].as_array().expect("ids").len()
    );
    let body = json!({"tokens": tokens["tokens"]});
    let text: Value = post(&engine, "/detokenize", &body)
        .await
        .json()
        .await
        .expect("JSON");
    assert!(
        text["prompt"]
            .as_str()
            .expect("text")
            .ends_with("Hello there, world")
    );
}
