//! Responses compared, field by field and in order, with the responses of a real vLLM 0.32.0.

use serde_json::Value;
use serde_json::json;
use servemark::internals::engine::Engine;
use servemark::internals::engine::EngineOptions;

use crate::client::{get, options, payloads, post};

/// Replaces what differs between any two servers or requests by its type.
fn without_particulars(value: &mut Value) {
    const PARTICULAR: [&str; 13] = [
        "id",
        "created",
        "model",
        "root",
        "content",
        "text",
        "token",
        "logprob",
        "system_fingerprint",
        "prompt_tokens",
        "total_tokens",
        "max_model_len",
        "version",
    ];
    /// Lists and maps whose length alone is compared: they hold tokens and their values.
    const COUNTED: [&str; 4] = ["bytes", "text_offset", "token_logprobs", "tokens"];
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if name == "top_logprobs" && value[0].get("token").is_none() {
                    // Completions: a map from each token to its value.
                    let maps = value.as_array().into_iter().flatten();
                    let sizes: Vec<usize> =
                        maps.filter_map(|m| Some(m.as_object()?.len())).collect();
                    *value = json!(sizes);
                } else if COUNTED.contains(&name.as_str()) && value.is_array() {
                    let length = value.as_array().map_or(0, Vec::len);
                    *value = json!(if name == "bytes" { 0 } else { length });
                } else if PARTICULAR.contains(&name.as_str())
                    && !(value.is_null() || *value == json!("") || value.is_object())
                {
                    *value = match value {
                        Value::String(_) => json!("a string"),
                        Value::Array(_) => {
                            without_particulars(value);
                            continue;
                        }
                        _ => json!("a number"),
                    };
                } else {
                    without_particulars(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_particulars),
        _ => {}
    }
}

/// A body, its particulars replaced, in the order of its fields. Events of several choices
/// come in the order of the choices: how they interleave depends on timing.
fn shape(body: &str) -> String {
    let one = |text: &str| match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            without_particulars(&mut value);
            (value["choices"][0]["index"].as_u64(), value.to_string())
        }
        Err(_) => (None, text.to_owned()),
    };
    if !body.starts_with("data: ") {
        return one(body).1;
    }
    let mut events: Vec<_> = payloads(body).iter().map(|payload| one(payload)).collect();
    events.sort_by_key(|(choice, _)| choice.unwrap_or(u64::MAX));
    let events: Vec<String> = events.into_iter().map(|(_, event)| event).collect();
    events.join("\n")
}

#[tokio::test]
async fn responses_have_the_fields_of_a_captured_vllm() {
    let captured = include_str!("../../fixtures/engine/vllm-0.32.0-responses.json");
    let captured: Vec<Value> = serde_json::from_str(captured).expect("JSON");
    let mut options = EngineOptions {
        model_name: "tiny".into(),
        ..options("instant")
    };
    options.preset.scheduler.max_model_len = 8192;
    let engine = Engine::start(options).expect("starts");
    for exchange in captured {
        let path = exchange["path"].as_str().expect("a path");
        let request = &exchange["request"];
        let response = match request.is_null() {
            true => get(&engine, path).await,
            false => post(&engine, path, request).await,
        };
        assert_eq!(
            response.status().as_u16(),
            exchange["status"],
            "{path} {request}"
        );
        let kind = response
            .headers()
            .get("content-type")
            .map(|kind| kind.to_str().expect("text"));
        assert_eq!(kind, exchange["content_type"].as_str(), "{path} {request}");
        let body = response.text().await.expect("text");
        let expected = exchange["body"].as_str().expect("a body");
        assert_eq!(shape(&body), shape(expected), "{path} {request}");
    }
}
