//! Complete answers, sent after the last token.

use axum::Json;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::super::faults::Midstream;
use super::super::replica::{Generation, PlannedChoice, pause};
use super::super::sse::GenerationApi;
use super::connection::ClientConnection;
use super::error::ApiError;
use super::logprobs;
use super::stream::{GARBAGE, broken, injected_error};
use super::usage::{reported_usage, unix_seconds};

/// Largest number of tokens received from the engine at once.
const TOKENS_AT_ONCE: usize = 1024;

/// Waits for the last token, then returns the response.
pub(super) async fn respond(
    api: GenerationApi,
    mut generation: Generation,
    connection: ClientConnection,
    logprobs: Option<usize>,
) -> Result<Response, ApiError> {
    let mut events = Vec::new();
    while !generation.is_finished() {
        events.clear();
        if !generation.receive(&mut events, TOKENS_AT_ONCE).await {
            return Err(ApiError::internal("The engine is stopping."));
        }
    }
    let body = body(api, &generation, logprobs);
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok(match generation.faults.midstream.map(|(_, fault)| fault) {
        None => Json(body).into_response(),
        Some(Midstream::Stall(duration)) => {
            pause(Some(duration)).await;
            Json(body).into_response()
        }
        Some(Midstream::ErrorEvent) => Json(injected_error()).into_response(),
        Some(Midstream::Abort) => Json(aborted(body)).into_response(),
        Some(Midstream::Empty) => Json(emptied(api, body)).into_response(),
        Some(Midstream::Garbage) => (json, Bytes::from_static(GARBAGE)).into_response(),
        Some(Midstream::MalformedEvent) => (json, half_of(body)).into_response(),
        Some(Midstream::Cut) => (json, cut(half_of(body))).into_response(),
        Some(Midstream::Reset) => {
            connection.reset_on_close();
            (json, cut(half_of(body))).into_response()
        }
    })
}

/// The first half of a JSON body.
fn half_of(body: Value) -> String {
    let mut text = body.to_string();
    let mut half = text.len() / 2;
    while !text.is_char_boundary(half) {
        half -= 1;
    }
    text.truncate(half);
    text
}

/// A body whose connection breaks after this text.
fn cut(text: String) -> Body {
    let text = std::future::ready(Ok(Bytes::from(text)));
    Body::from_stream(stream::once(text).chain(stream::once(broken())))
}

fn aborted(mut body: Value) -> Value {
    body["choices"][0]["finish_reason"] = "abort".into();
    body
}

fn emptied(api: GenerationApi, mut body: Value) -> Value {
    match api {
        GenerationApi::Chat => body["choices"][0]["message"]["content"] = "".into(),
        GenerationApi::Completions => body["choices"][0]["text"] = "".into(),
    }
    if let Some(tokens) = body.pointer_mut("/usage/completion_tokens") {
        *tokens = 0.into();
    }
    body
}

fn body(api: GenerationApi, generation: &Generation, logprobs: Option<usize>) -> Value {
    let shared = generation.shared();
    let usage = reported_usage(generation, generation.output_tokens()).map(|usage| {
        json!({
            "prompt_tokens": usage.prompt_tokens,
            "total_tokens": usage.total(),
            "completion_tokens": usage.completion_tokens,
            "prompt_tokens_details": null,
            "completion_tokens_details": null,
        })
    });
    let object = match api {
        GenerationApi::Chat => "chat.completion",
        GenerationApi::Completions => "text_completion",
    };
    let choices: Vec<Value> = generation
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| choice_json(api, index, choice, logprobs))
        .collect();
    let mut body = json!({
        "id": generation.request_id,
        "object": object,
        "created": unix_seconds(),
        "model": shared.model_name,
        "choices": choices,
        "service_tier": null,
        "system_fingerprint": shared.fingerprint,
        "usage": usage,
    });
    if api == GenerationApi::Chat {
        for field in ["prompt_logprobs", "prompt_token_ids", "prompt_text"] {
            body[field] = Value::Null;
        }
    }
    for field in ["kv_transfer_params", "ec_transfer_params", "metrics"] {
        body[field] = Value::Null;
    }
    body
}

fn choice_json(
    api: GenerationApi,
    index: usize,
    choice: &PlannedChoice,
    logprobs: Option<usize>,
) -> Value {
    let plan = &choice.plan;
    let tokens = 0..plan.tokens;
    let mut text = choice.stream.text(tokens.clone());
    text.truncate(plan.text_bytes.unwrap_or(text.len()));
    let logprobs = logprobs.map(|top| logprobs::json(api, &choice.stream, tokens, top, 0));
    match api {
        GenerationApi::Chat => json!({
            "index": index,
            "message": {
                "role": "assistant",
                "content": text,
                "refusal": null,
                "annotations": null,
                "audio": null,
                "function_call": null,
                "reasoning": null,
            },
            "logprobs": logprobs,
            "finish_reason": plan.finish,
            "stop_reason": plan.stop_reason,
            "token_ids": null,
            "routed_experts": null,
        }),
        GenerationApi::Completions => json!({
            "index": index,
            "text": text,
            "logprobs": logprobs,
            "finish_reason": plan.finish,
            "stop_reason": plan.stop_reason,
            "token_ids": null,
            "prompt_logprobs": null,
            "prompt_token_ids": null,
            "routed_experts": null,
        }),
    }
}
