//! Streamed answers: vLLM's server-sent events, with the faults drawn for the request.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use serde_json::{Value, json};

use super::super::faults::Midstream;
use super::super::replica::{Generation, pause};
use super::super::scheduler::TokenEvent;
use super::super::sse::{DONE, EventWriter, GenerationApi, ResponseTokens};
use super::connection::ClientConnection;
use super::logprobs;
use super::usage::{reported_usage, unix_seconds};

/// Bytes that are neither UTF-8 nor an event.
pub(super) const GARBAGE: &[u8] = b"\xff\xfe\x00\x9f\x92\x96\xc3(\x80\x81\r\x00\n\n";

/// Largest number of events in one write, when the client is slower than the engine.
const EVENTS_PER_WRITE: usize = 64;

/// Approximate length of an event, to reserve memory.
const EVENT_BYTES: usize = 256;

/// The content of a stream in addition to text.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamContent {
    /// Whether a last event has the usage.
    pub(super) usage: bool,
    /// Whether every event has the usage so far.
    pub(super) continuous_usage: bool,
    /// Number of likeliest tokens in the log probabilities, if these are requested.
    pub(super) logprobs: Option<usize>,
}

/// A streamed answer.
pub(super) fn respond(
    api: GenerationApi,
    generation: Generation,
    connection: ClientConnection,
    content: StreamContent,
) -> Response {
    let drip = generation.faults.drip;
    let streaming = Streaming::new(api, generation, connection, content);
    let chunks = stream::unfold(streaming, |mut streaming| async move {
        let chunk = streaming.next_chunk().await?;
        Some((chunk, streaming))
    });
    let body = match drip {
        None => Body::from_stream(chunks),
        Some(gap) => Body::from_stream(byte_by_byte(chunks, gap)),
    };
    let mut response = body.into_response();
    let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The bytes one by one, with a pause of `gap` between them.
fn byte_by_byte(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    gap: Duration,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    chunks.flat_map(move |chunk| {
        let bytes: Vec<io::Result<Bytes>> = match chunk {
            Ok(chunk) => (0..chunk.len())
                .map(|at| Ok(chunk.slice(at..=at)))
                .collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(bytes).then(move |byte| async move {
            pause(Some(gap)).await;
            byte
        })
    })
}

/// An error in vLLM's format, which replaces the answer after the status has been sent.
pub(super) fn injected_error() -> Value {
    json!({"object": "error", "message": "Injected fault: the engine died", "type": "InternalServerError", "code": 500})
}

/// The end of a body whose connection breaks.
pub(super) async fn broken() -> io::Result<Bytes> {
    // A pause in the body makes the server flush its buffer, which a reset would
    // otherwise discard.
    tokio::task::yield_now().await;
    Err(io::Error::other("injected fault: connection broken"))
}

/// The part of a choice that has been sent.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    tokens: u32,
    text_bytes: usize,
    /// For `text_offset`, which counts characters.
    text_chars: usize,
}

struct Streaming {
    api: GenerationApi,
    generation: Generation,
    connection: ClientConnection,
    events: EventWriter,
    content: StreamContent,
    /// Tokens received but not yet written.
    pending: VecDeque<TokenEvent>,
    /// The sent part of each choice.
    sent: Box<[Sent]>,
    /// Tokens taken out of `pending`, over all choices.
    taken: u32,
    /// The next fault, and the number of tokens before it.
    fault: Option<(u32, Midstream)>,
    ended: bool,
}

impl Streaming {
    fn new(
        api: GenerationApi,
        generation: Generation,
        connection: ClientConnection,
        content: StreamContent,
    ) -> Streaming {
        let shared = generation.shared();
        let events = EventWriter::new(
            api,
            &generation.request_id,
            unix_seconds(),
            &shared.model_name,
            &shared.fingerprint,
        );
        // The fault of an output with a single token comes before that token, as there
        // is no later one.
        let last = generation.output_tokens() - 1;
        let fault = generation.faults.midstream;
        Streaming {
            api,
            connection,
            events,
            content,
            pending: VecDeque::new(),
            sent: vec![Sent::default(); generation.choices.len()].into(),
            taken: 0,
            fault: fault.map(|(after, fault)| (after.min(last), fault)),
            ended: false,
            generation,
        }
    }

    /// The next chunk of the body: the events of the available tokens, or a fault.
    async fn next_chunk(&mut self) -> Option<io::Result<Bytes>> {
        let mut out = String::new();
        while out.is_empty() {
            if self.ended {
                return None;
            }
            if self.pending.is_empty() && !self.receive().await {
                self.ended = true;
                return Some(Err(io::Error::other("the engine is stopping")));
            }
            out.reserve((self.pending.len() + 1) * EVENT_BYTES);
            while let Some(event) = self.pending.front().copied() {
                match self.fault {
                    Some((after, fault)) if after == self.taken => {
                        // Events before the fault are sent first.
                        if !out.is_empty() {
                            break;
                        }
                        self.fault = None;
                        if let Some(end) = self.fail(fault).await {
                            return end;
                        }
                    }
                    _ => {
                        self.pending.pop_front();
                        self.format(event, &mut out);
                    }
                }
            }
        }
        let written = self.sent.iter().map(|sent| sent.tokens);
        self.generation.note_written(written);
        Some(Ok(Bytes::from(out)))
    }

    async fn receive(&mut self) -> bool {
        let mut events = Vec::new();
        let received = self.generation.receive(&mut events, EVENTS_PER_WRITE).await;
        self.pending = events.into();
        received
    }

    /// Injects a fault. Returns what the body yields for it, if anything.
    async fn fail(&mut self, fault: Midstream) -> Option<Option<io::Result<Bytes>>> {
        match fault {
            Midstream::Stall(duration) => {
                pause(Some(duration)).await;
                None
            }
            Midstream::Reset => {
                self.ended = true;
                self.connection.reset_on_close();
                Some(Some(broken().await))
            }
            Midstream::Cut => {
                self.ended = true;
                Some(None)
            }
            Midstream::MalformedEvent => Some(Some(Ok(self.events.malformed()))),
            Midstream::Garbage => Some(Some(Ok(Bytes::from_static(GARBAGE)))),
            Midstream::Abort => Some(Some(Ok(self.finish("abort")))),
            Midstream::Empty => Some(Some(Ok(self.finish("stop")))),
            Midstream::ErrorEvent => {
                self.ended = true;
                let event = format!("data: {}\n\n{DONE}", injected_error());
                Some(Some(Ok(event.into())))
            }
        }
    }

    /// Ends the stream early.
    fn finish(&mut self, reason: &str) -> Bytes {
        self.ended = true;
        self.events.finish(reason)
    }

    /// Writes the event of one token, and the events before the first and after the last token.
    ///
    /// As with vLLM's `stream_interval`, the first token has an event of its own. The others are
    /// buffered until there are `tokens_per_chunk` of them or the choice ends.
    fn format(&mut self, event: TokenEvent, out: &mut String) {
        let choice = self.generation.choice_of(&event);
        if self.taken == 0 && self.api == GenerationApi::Chat {
            let usage = self.usage_so_far(0);
            (0..self.sent.len()).for_each(|choice| self.events.role(choice, usage, out));
        }
        self.taken += 1;
        let (first, until) = (self.sent[choice].tokens, event.index + 1);
        let last = event.finish.is_some();
        let interval = self.generation.shared().tokens_per_chunk.get();
        if !last && event.index > 0 && until - first < interval {
            return;
        }
        self.events.begin_text(choice, out);
        let before = self.sent[choice];
        self.push_text(choice, until, out);
        let logprobs = self.content.logprobs.map(|top| {
            let choice = &self.generation.choices[choice];
            let tokens = first..until;
            logprobs::json(self.api, &choice.stream, tokens, top, before.text_chars).to_string()
        });
        let plan = last.then_some(&self.generation.choices[choice].plan);
        let usage = self.usage_so_far(until);
        self.events.end_text(logprobs.as_deref(), plan, usage, out);
        self.events.close(last && !self.content.usage, out);
        if self.taken == self.generation.output_tokens() {
            self.end(out);
        }
    }

    /// Appends the text of a choice's tokens up to `until`, escaped for JSON.
    fn push_text(&mut self, choice: usize, until: u32, out: &mut String) {
        let Sent {
            tokens, text_bytes, ..
        } = self.sent[choice];
        let chosen = &self.generation.choices[choice];
        let sent = &mut self.sent[choice];
        match chosen.plan.text_bytes {
            None => {
                for index in tokens..until {
                    out.push_str(chosen.stream.escaped_piece(index));
                    if self.content.logprobs.is_some() {
                        sent.text_chars += chosen.stream.piece(index).chars().count();
                    }
                }
            }
            // A stop string truncates the text.
            Some(limit) => {
                let text = chosen.stream.text(tokens..until);
                let text = &text[..text.len().min(limit - text_bytes)];
                out.push_str(&super::super::text::escape(text));
                sent.text_bytes += text.len();
                sent.text_chars += text.chars().count();
            }
        }
        sent.tokens = until;
    }

    fn usage_so_far(&self, completion_tokens: u32) -> Option<ResponseTokens> {
        match self.content.continuous_usage {
            true => reported_usage(&self.generation, completion_tokens),
            false => None,
        }
    }

    fn end(&mut self, out: &mut String) {
        self.ended = true;
        if self.content.usage
            && let Some(usage) = reported_usage(&self.generation, self.taken)
        {
            self.events.usage(usage, out);
        }
        out.push_str(DONE);
    }
}
