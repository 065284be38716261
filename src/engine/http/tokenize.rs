//! `/tokenize` and `/detokenize`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::chat_template;
use super::super::replica::{Replica, Shared};
use super::error::ApiError;
use super::prompts::{MessageParam, plain_messages};
use super::request::{check_model, parse};

#[derive(Deserialize)]
struct TokenizeBody {
    model: Option<String>,
    prompt: Option<String>,
    messages: Option<Vec<MessageParam>>,
    add_special_tokens: Option<bool>,
    add_generation_prompt: Option<bool>,
    return_token_strs: Option<bool>,
}

#[derive(Deserialize)]
struct DetokenizeRequest {
    model: Option<String>,
    tokens: Vec<u32>,
}

/// Token ids of a prompt, or of messages rendered by the chat template.
pub(super) async fn tokenize(
    State(replica): State<Arc<Replica>>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    // Long texts take milliseconds, which must not delay other requests' tokens.
    let task = tokio::task::spawn_blocking(move || count(&replica.shared, &body));
    task.await
        .unwrap_or_else(|_| Err(ApiError::internal("The tokenizer failed on this text.")))
}

fn count(shared: &Shared, body: &[u8]) -> Result<Json<Value>, ApiError> {
    let request: TokenizeBody = parse(body)?;
    check_model(shared, request.model.as_deref())?;
    let (text, special_by_default) = match (request.prompt, request.messages) {
        (Some(prompt), _) => (prompt, true),
        (None, Some(messages)) => {
            let messages = plain_messages(messages)?;
            let reply = request.add_generation_prompt.unwrap_or(true);
            (
                chat_template::render(&shared.tokenizer, &messages, reply),
                false,
            )
        }
        (None, None) => {
            return Err(ApiError::missing_field("body.prompt"));
        }
    };
    let special = request.add_special_tokens.unwrap_or(special_by_default);
    let tokens = shared
        .encode(&text, special)
        .map_err(ApiError::bad_request)?;
    let strings = request.return_token_strs.unwrap_or(false).then(|| {
        let name = |id: &u32| shared.tokenizer.id_to_token(*id).unwrap_or_default();
        tokens.iter().map(name).collect::<Vec<String>>()
    });
    Ok(Json(json!({
        "count": tokens.len(),
        "max_model_len": shared.preset.scheduler.max_model_len,
        "tokens": tokens,
        "token_strs": strings,
    })))
}

/// Text of token ids, special tokens included.
pub(super) async fn detokenize(
    State(replica): State<Arc<Replica>>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let request: DetokenizeRequest = parse(&body)?;
    check_model(&replica.shared, request.model.as_deref())?;
    let text = replica.shared.tokenizer.decode(&request.tokens, false);
    let text = text.map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(Json(json!({ "prompt": text })))
}
