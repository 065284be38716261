//! Several choices, several prompts, log probabilities, several tokens in one event.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde_json::{Value, json};
use servemark::internals::engine::{Engine, EngineOptions, FinishReason};

use crate::client::{CHAT, COMPLETIONS, chat_body, events, metric, options, post, start};

/// Text of each choice of a stream, put together by index.
fn texts(events: &[Value]) -> BTreeMap<u64, String> {
    let mut texts = BTreeMap::new();
    for choice in events
        .iter()
        .flat_map(|event| event["choices"].as_array().expect("choices"))
    {
        let text = choice.get("text").unwrap_or(&choice["delta"]["content"]);
        let index = choice["index"].as_u64().expect("an index");
        let whole: &mut String = texts.entry(index).or_default();
        whole.push_str(text.as_str().expect("text"));
    }
    texts
}

async fn streamed(engine: &Engine, path: &str, body: &Value) -> Vec<Value> {
    let response = post(engine, path, body).await;
    events(&response.text().await.expect("text"))
}

#[tokio::test]
async fn every_prompt_gets_n_choices_and_usage_counts_them_all() {
    let engine = start("instant");
    let mut body = json!({
        "prompt": [[1, 2, 3], [4, 5]], "n": 3, "max_tokens": 7, "ignore_eos": true, "seed": 5,
        "stream": true, "stream_options": {"include_usage": true},
    });
    let events = streamed(&engine, COMPLETIONS, &body).await;
    let texts = texts(&events);
    assert_eq!(
        texts.keys().copied().collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
    let distinct: std::collections::BTreeSet<_> = texts.values().collect();
    assert_eq!(distinct.len(), 6, "each choice is an output of its own");
    let ends = events
        .iter()
        .filter(|event| event["choices"][0]["finish_reason"] == "length");
    assert_eq!(ends.count(), 6);
    let usage = &events.last().expect("events")["usage"];
    assert_eq!(
        usage,
        &json!({"prompt_tokens": 5, "total_tokens": 47, "completion_tokens": 42})
    );

    body["stream"] = json!(false);
    let whole: Value = post(&engine, COMPLETIONS, &body)
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(whole["usage"]["completion_tokens"], 42);
    for choice in whole["choices"].as_array().expect("choices") {
        let index = choice["index"].as_u64().expect("an index");
        assert_eq!(
            choice["text"], texts[&index],
            "the same seed, the same text"
        );
    }
    let truth = engine
        .truth(whole["id"].as_str().expect("an id"))
        .expect("kept");
    assert_eq!((truth.prompt_tokens, truth.choices.len()), (5, 6));
    for choice in &truth.choices {
        assert_eq!(choice.token_ns.len(), 7);
        assert_eq!(choice.finish_reason, Some(FinishReason::Length));
        assert!(choice.scheduled_ns.expect("it was") <= choice.token_ns[0]);
    }
    assert_eq!(metric(&engine, "vllm:generation_tokens_total").await, 84.0);
}

#[tokio::test]
async fn a_chat_stream_begins_with_the_role_of_every_choice() {
    let engine = start("instant");
    let mut body = chat_body(4);
    body["n"] = json!(2);
    let events = streamed(&engine, CHAT, &body).await;
    for (index, event) in events[..2].iter().enumerate() {
        assert_eq!(event["choices"][0]["index"], index);
        assert_eq!(event["choices"][0]["delta"]["role"], "assistant");
    }
    assert_eq!(events.len(), 2 + 2 * 4 + 1);
}

#[tokio::test]
async fn chunks_carry_as_many_tokens_as_asked_but_for_the_first_and_the_last() {
    let tokens_per_chunk = NonZeroU32::new(4).expect("four");
    let chunked = Engine::start(EngineOptions {
        tokens_per_chunk,
        ..options("instant")
    })
    .expect("starts");
    let mut body = chat_body(10);
    body["seed"] = json!(3);
    body["stream_options"]["continuous_usage_stats"] = json!(true);
    let response = post(&chunked, CHAT, &body).await;
    let label = response.headers()[servemark::internals::engine::SIMULATED_HEADER].clone();
    assert_eq!(label, "instant; tokens_per_chunk=4");
    let events = events(&response.text().await.expect("text"));
    let so_far: Vec<_> = events
        .iter()
        .map(|event| event["usage"]["completion_tokens"].clone())
        .collect();
    // The role, the first token, four and four more, the last one, the usage.
    assert_eq!(so_far, [0, 1, 5, 9, 10, 10]);
    let single = streamed(&start("instant"), CHAT, &body).await;
    assert_eq!(single.len(), 12);
    assert_eq!(
        texts(&events),
        texts(&single),
        "the same text in fewer events"
    );
}

#[tokio::test]
async fn log_probabilities_name_each_token_and_its_place() {
    let engine = Engine::start(EngineOptions {
        tokens_per_chunk: NonZeroU32::new(3).expect("three"),
        ..options("instant")
    })
    .expect("starts");
    let body =
        json!({"prompt": "x", "max_tokens": 9, "ignore_eos": true, "logprobs": 2, "stream": true});
    let (mut text, mut tokens) = (String::new(), 0);
    for event in streamed(&engine, COMPLETIONS, &body).await {
        let logprobs = &event["choices"][0]["logprobs"];
        let pieces = logprobs["tokens"].as_array().expect("tokens");
        for (k, piece) in pieces.iter().enumerate() {
            assert_eq!(logprobs["text_offset"][k], text.chars().count());
            assert!(logprobs["token_logprobs"][k].as_f64().expect("a number") <= 0.0);
            assert_eq!(
                logprobs["top_logprobs"][k]
                    .as_object()
                    .expect("a map")
                    .len(),
                3
            );
            text.push_str(piece.as_str().expect("text"));
            tokens += 1;
        }
    }
    assert_eq!(tokens, 9);

    let mut body = chat_body(5);
    body["logprobs"] = json!(true);
    body["top_logprobs"] = json!(2);
    body["stream"] = json!(false);
    let whole: Value = post(&engine, CHAT, &body).await.json().await.expect("JSON");
    let choice = &whole["choices"][0];
    let content = choice["logprobs"]["content"].as_array().expect("content");
    let pieces: Vec<&str> = content
        .iter()
        .map(|token| token["token"].as_str().expect("text"))
        .collect();
    assert_eq!(choice["message"]["content"], pieces.concat());
    for token in content {
        assert_eq!(token["top_logprobs"].as_array().expect("a list").len(), 2);
        assert_eq!(
            token["bytes"],
            json!(token["token"].as_str().expect("text").as_bytes())
        );
    }
}

#[tokio::test]
async fn a_stop_string_cuts_choices_in_chunks_too() {
    let engine = Engine::start(EngineOptions {
        tokens_per_chunk: NonZeroU32::new(5).expect("five"),
        ..options("instant")
    })
    .expect("starts");
    let mut body = chat_body(200);
    body["stop"] = json!(["e"]);
    body["n"] = json!(3);
    let events = streamed(&engine, CHAT, &body).await;
    let stopped = events
        .iter()
        .filter(|event| event["choices"][0]["stop_reason"] == "e");
    assert_eq!(stopped.count(), 3);
    assert!(texts(&events).values().all(|text| !text.contains('e')));
}
