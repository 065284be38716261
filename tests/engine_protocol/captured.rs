//! Responses compared, field by field and in order, with those of a real vLLM 0.32.0.

use serde_json::Value;
use serde_json::json;
use servemark::engine::Engine;
use servemark::engine::EngineOptions;

use crate::client::{get, options, payloads, post};

/// Replaces what differs between any two servers or requests by its type.
fn without_particulars(value: &mut Value) {
    const PARTICULAR: [&str; 11] = [
        "id",
        "created",
        "model",
        "root",
        "content",
        "text",
        "system_fingerprint",
        "prompt_tokens",
        "total_tokens",
        "max_model_len",
        "version",
    ];
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if PARTICULAR.contains(&name.as_str()) && !(value.is_null() || *value == json!(""))
                {
                    let kind = if value.is_string() {
                        "a string"
                    } else {
                        "a number"
                    };
                    *value = json!(kind);
                } else {
                    without_particulars(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_particulars),
        _ => {}
    }
}

/// A body, its particulars replaced, in the order of its fields.
fn shape(body: &str) -> String {
    let one = |text: &str| match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            without_particulars(&mut value);
            value.to_string()
        }
        Err(_) => text.to_owned(),
    };
    if body.starts_with("data: ") {
        payloads(body)
            .iter()
            .map(|payload| one(payload))
            .collect::<Vec<_>>()
            .join("\n")
    } else {
        one(body)
    }
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
