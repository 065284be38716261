//! `/v1/chat/completions` and `/v1/completions`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;

use super::super::faults::ErrorStatus;
use super::super::replica::{GenerationJob, Replica, TokenizedPrompt, pause};
use super::super::sse::GenerationApi;
use super::connection::ClientConnection;
use super::error::ApiError;
use super::request::{GenerationRequest, StreamOptions, parse};
use super::{stream, whole};

/// Longer texts (bytes) are tokenised on a thread of their own: on the HTTP thread they would
/// delay other requests' tokens.
const INLINE_TEXT_BYTES: usize = 1024;

/// `Retry-After` of an injected 429 (s).
const RETRY_AFTER_S: u32 = 1;

/// A chat completion.
pub(super) async fn chat(
    State(replica): State<Arc<Replica>>,
    connection: ClientConnection,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    generate(GenerationApi::Chat, replica, connection, headers, body).await
}

/// A completion of a text or of token ids.
pub(super) async fn completions(
    State(replica): State<Arc<Replica>>,
    connection: ClientConnection,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    generate(
        GenerationApi::Completions,
        replica,
        connection,
        headers,
        body,
    )
    .await
}

async fn generate(
    api: GenerationApi,
    replica: Arc<Replica>,
    connection: ClientConnection,
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
        let content = stream::StreamContent {
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
    api: GenerationApi,
    replica: &Arc<Replica>,
    mut request: GenerationRequest,
) -> Result<(GenerationRequest, Vec<TokenizedPrompt>), ApiError> {
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

/// The id of the response. As in vLLM, a client may set its last part by `X-Request-Id`.
fn request_id(api: GenerationApi, replica: &Replica, headers: &HeaderMap, ordinal: u64) -> String {
    let given = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let tail = match given {
        Some(id) => id.to_owned(),
        None => replica.make_request_id(ordinal),
    };
    format!("{}{tail}", api.id_prefix())
}
