//! Answers of the generation endpoints, streamed or whole, with the faults drawn for them.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::super::faults::{Midstream, UsageFault};
use super::super::replica::{Generation, pause};
use super::super::scheduler::TokenEvent;
use super::super::sse::{Api, DONE, Events, Usage};
use super::super::text::escape;
use super::connection::Connection;
use super::error::ApiError;

/// Bytes that are neither UTF-8 nor an event.
const GARBAGE: &[u8] = b"\xff\xfe\x00\x9f\x92\x96\xc3(\x80\x81\r\x00\n\n";

fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// The usage to report: the true one, or what the drawn fault makes of it.
fn reported_usage(generation: &Generation, completion_tokens: u32) -> Option<Usage> {
    let truth = Usage {
        prompt_tokens: generation.prompt_tokens,
        completion_tokens,
    };
    match generation.faults.usage {
        UsageFault::None => Some(truth),
        UsageFault::Wrong => Some(Usage {
            prompt_tokens: truth.prompt_tokens + 3,
            completion_tokens: completion_tokens + completion_tokens / 2 + 1,
        }),
        UsageFault::Missing => None,
    }
}

/// The end of a body whose connection breaks.
async fn broken() -> io::Result<Bytes> {
    // A pause in the body makes the server flush what it has so far, which a
    // reset would otherwise discard.
    tokio::task::yield_now().await;
    Err(io::Error::other("injected fault: connection broken"))
}

/// A streamed answer.
pub(super) fn stream(
    api: Api,
    generation: Generation,
    connection: Connection,
    usage: bool,
    continuous: bool,
) -> Response {
    let shared = generation.shared();
    let events = Events::new(
        api,
        &generation.request_id,
        unix_seconds(),
        &shared.model_name,
        &shared.fingerprint,
    );
    let streaming = Streaming {
        api,
        generation,
        connection,
        events,
        usage,
        continuous,
        state: State::Tokens,
    };
    let chunks = stream::unfold(streaming, |mut streaming| async move {
        let chunk = streaming.next_chunk().await?;
        Some((chunk, streaming))
    });
    let mut response = Body::from_stream(chunks).into_response();
    let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[derive(Clone, Copy)]
enum State {
    Tokens,
    /// A token's event is held back behind a fault that comes first.
    Held(TokenEvent),
    Ended,
}

struct Streaming {
    api: Api,
    generation: Generation,
    connection: Connection,
    events: Events,
    usage: bool,
    continuous: bool,
    state: State,
}

impl Streaming {
    /// The next piece of the body: the events of one token, or a fault.
    async fn next_chunk(&mut self) -> Option<io::Result<Bytes>> {
        let event = match self.state {
            State::Ended => return None,
            State::Held(event) => event,
            State::Tokens => {
                let Some(event) = self.generation.next().await else {
                    self.state = State::Ended;
                    return Some(Err(io::Error::other("the engine is stopping")));
                };
                if let Some(fault) = self.fault_before(event.index) {
                    match fault {
                        Midstream::Stall(duration) => pause(Some(duration)).await,
                        Midstream::Reset => {
                            self.state = State::Ended;
                            self.connection.reset_on_close();
                            return Some(broken().await);
                        }
                        Midstream::Cut => {
                            self.state = State::Ended;
                            return None;
                        }
                        Midstream::MalformedEvent => {
                            self.state = State::Held(event);
                            return Some(Ok(self.events.malformed()));
                        }
                        Midstream::Garbage => {
                            self.state = State::Held(event);
                            return Some(Ok(Bytes::from_static(GARBAGE)));
                        }
                    }
                }
                event
            }
        };
        self.state = State::Tokens;
        Some(Ok(self.format(event)))
    }

    fn fault_before(&self, index: u32) -> Option<Midstream> {
        let (after, fault) = self.generation.faults.midstream?;
        // An output of one token has its fault after that token, which is too late
        // for a token to come: let it come before.
        let after = after.min(self.generation.plan.tokens - 1);
        (after == index).then_some(fault)
    }

    fn format(&mut self, event: TokenEvent) -> Bytes {
        let mut out = String::with_capacity(512);
        let so_far = |tokens| {
            self.continuous
                .then(|| reported_usage(&self.generation, tokens))
                .flatten()
        };
        if event.index == 0 && self.api == Api::Chat {
            self.events.role(so_far(0), &mut out);
        }
        let usage = so_far(event.index + 1);
        let last = event.finish.is_some();
        match self.generation.whole_escaped_piece(event.index) {
            Some(piece) => {
                let plan = last.then_some(&self.generation.plan);
                self.events.token(piece, plan, usage, &mut out);
            }
            None => {
                let piece = escape(self.generation.piece(event.index));
                let plan = last.then_some(&self.generation.plan);
                self.events.token(&piece, plan, usage, &mut out);
            }
        }
        self.events.close(last && !self.usage, &mut out);
        if last {
            self.state = State::Ended;
            if let Some(usage) =
                reported_usage(&self.generation, event.index + 1).filter(|_| self.usage)
            {
                self.events.usage(usage, &mut out);
            }
            out.push_str(DONE);
        }
        Bytes::from(out)
    }
}

/// An answer in one piece, when the last token is there.
pub(super) async fn whole(
    api: Api,
    mut generation: Generation,
    connection: Connection,
) -> Result<Response, ApiError> {
    let mut text = String::new();
    loop {
        let Some(event) = generation.next().await else {
            return Err(ApiError::internal("The engine is stopping."));
        };
        text.push_str(generation.piece(event.index));
        if event.finish.is_some() {
            break;
        }
    }
    let body = whole_body(api, &generation, text);
    match generation.faults.midstream {
        None => Ok(Json(body).into_response()),
        Some((_, Midstream::Stall(duration))) => {
            pause(Some(duration)).await;
            Ok(Json(body).into_response())
        }
        Some((_, fault)) => Ok(broken_body(body.to_string(), fault, &connection)),
    }
}

/// A JSON body that goes wrong half-way.
fn broken_body(mut body: String, fault: Midstream, connection: &Connection) -> Response {
    let mut half = body.len() / 2;
    while !body.is_char_boundary(half) {
        half -= 1;
    }
    body.truncate(half);
    let json = [(header::CONTENT_TYPE, "application/json")];
    match fault {
        Midstream::Garbage => (json, Bytes::from_static(GARBAGE)).into_response(),
        Midstream::MalformedEvent => (json, body).into_response(),
        Midstream::Reset | Midstream::Cut | Midstream::Stall(_) => {
            if fault == Midstream::Reset {
                connection.reset_on_close();
            }
            let half = std::future::ready(Ok(Bytes::from(body)));
            let parts = stream::once(half).chain(stream::once(broken()));
            (json, Body::from_stream(parts)).into_response()
        }
    }
}

fn whole_body(api: Api, generation: &Generation, text: String) -> Value {
    let shared = generation.shared();
    let plan = &generation.plan;
    let usage = reported_usage(generation, plan.tokens).map(|usage| {
        json!({
            "prompt_tokens": usage.prompt_tokens,
            "total_tokens": usage.total(),
            "completion_tokens": usage.completion_tokens,
            "prompt_tokens_details": null,
            "completion_tokens_details": null,
        })
    });
    let (object, choice) = match api {
        Api::Chat => (
            "chat.completion",
            json!({
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": text,
                    "refusal": null,
                    "annotations": null,
                    "audio": null,
                    "function_call": null,
                    "reasoning": null,
                },
                "logprobs": null,
                "finish_reason": plan.finish,
                "stop_reason": plan.stop_reason,
                "token_ids": null,
                "routed_experts": null,
            }),
        ),
        Api::Completions => (
            "text_completion",
            json!({
                "index": 0,
                "text": text,
                "logprobs": null,
                "finish_reason": plan.finish,
                "stop_reason": plan.stop_reason,
                "token_ids": null,
                "prompt_logprobs": null,
                "prompt_token_ids": null,
                "routed_experts": null,
            }),
        ),
    };
    let mut body = json!({
        "id": generation.request_id,
        "object": object,
        "created": unix_seconds(),
        "model": shared.model_name,
        "choices": [choice],
        "service_tier": null,
        "system_fingerprint": shared.fingerprint,
        "usage": usage,
    });
    if api == Api::Chat {
        for field in ["prompt_logprobs", "prompt_token_ids", "prompt_text"] {
            body[field] = Value::Null;
        }
    }
    for field in ["kv_transfer_params", "ec_transfer_params", "metrics"] {
        body[field] = Value::Null;
    }
    body
}
