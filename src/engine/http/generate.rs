//! `/v1/chat/completions` and `/v1/completions`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;

use super::super::faults::ErrorStatus;
use super::super::replica::{GenerationJob, Prompt, Replica, pause};
use super::super::sse::Api;
use super::connection::Connection;
use super::error::ApiError;
use super::request::{GenerationRequest, StreamOptions, parse};
use super::{stream, whole};

/// Texts longer than this are tokenised on a thread of their own, bytes: on the
/// HTTP thread they would hold up other requests' tokens.
const INLINE_TEXT_BYTES: usize = 1024;

/// Seconds a client is asked to wait by an injected 429.
const RETRY_AFTER_S: u32 = 1;

/// A chat completion.
pub(super) async fn chat(
    State(replica): State<Arc<Replica>>,
    connection: Connection,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    generate(Api::Chat, replica, connection, headers, body).await
}

/// A completion of a text or of token ids.
pub(super) async fn completions(
    State(replica): State<Arc<Replica>>,
    connection: Connection,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    generate(Api::Completions, replica, connection, headers, body).await
}

async fn generate(
    api: Api,
    replica: Arc<Replica>,
    connection: Connection,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let arrival = Instant::now();
    let ordinal = replica.next_ordinal();
    let request: GenerationRequest = parse(&body)?;
    request.check(&replica.shared)?;
    let n = request.choices()?;
    let logprobs = request.logprobs(api, &replica.shared)?;
    let (request, prompts) = tokenise(api, &replica, request).await?;
    let planned = replica.plan(GenerationJob {
        request_id: request_id(api, &replica, &headers, ordinal),
        arrival,
        prompts,
        n,
        seed: request.seed,
        ordinal,
    });
    match planned.faults.status {
        None => {}
        Some(ErrorStatus::TooManyRequests) => {
            return Err(ApiError::too_many_requests(RETRY_AFTER_S));
        }
        Some(ErrorStatus::InternalServerError) => {
            return Err(ApiError::internal("Injected fault: internal error"));
        }
        Some(ErrorStatus::ServiceUnavailable) => {
            return Err(ApiError::unavailable("Injected fault: overloaded"));
        }
    }
    let slow_headers = planned.faults.slow_headers;
    let generation = replica.submit(planned);
    pause(slow_headers).await;
    if request.stream.unwrap_or(false) {
        let options = request.stream_options.unwrap_or(StreamOptions::NONE);
        let content = stream::Content {
            usage: options.include_usage(),
            continuous_usage: options.continuous_usage(),
            logprobs,
        };
        Ok(stream::respond(api, generation, connection, content))
    } else {
        whole::respond(api, generation, connection, logprobs).await
    }
}

async fn tokenise(
    api: Api,
    replica: &Arc<Replica>,
    mut request: GenerationRequest,
) -> Result<(GenerationRequest, Vec<Prompt>), ApiError> {
    if request.text_bytes() <= INLINE_TEXT_BYTES {
        let prompts = request.take_prompts(api, &replica.shared)?;
        return Ok((request, prompts));
    }
    let shared = replica.shared.clone();
    let task = tokio::task::spawn_blocking(move || {
        let prompts = request.take_prompts(api, &shared)?;
        Ok((request, prompts))
    });
    task.await
        .unwrap_or_else(|_| Err(ApiError::internal("The tokenizer failed on this prompt.")))
}

/// The response's id; a client may choose its tail by `X-Request-Id`, as with vLLM.
fn request_id(api: Api, replica: &Replica, headers: &HeaderMap, ordinal: u64) -> String {
    let given = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let tail = match given {
        Some(id) => id.to_owned(),
        None => replica.make_request_id(ordinal),
    };
    format!("{}{tail}", api.id_prefix())
}
