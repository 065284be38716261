//! Folds the bytes of one response into a [`Completion`].

use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};

use super::bounds::Bounds;
use super::failure::{Failure, FailureCause};
use super::finish::ResponseEnd;
use super::http1::Taken;
use super::plain_event::PlainEvent;
use super::prepared::Prepared;
use super::record::Completion;
use super::refusal::keep_start;
use super::sse::{BOM, EventName, SseDecoder, SseError};
use super::timestamps::Timestamps;
use crate::dialect::{Delta, Dialect, error_in_body, excerpt};

/// The state of one response while it arrives.
pub(super) struct ResponseReader {
    bounds: Bounds,
    body: Body,
    answer: Answer,
    keep_text: bool,
}

enum Body {
    Stream {
        decoder: SseDecoder,
        /// The start of the body until the first event, usually empty: it shows what the body is if not a stream.
        eventless: Vec<u8>,
    },
    Whole(Vec<u8>),
}

/// The answer so far.
struct Answer {
    dialect: &'static dyn Dialect,
    /// Whether an event has arrived.
    has_event: bool,
    /// Whether the stream's end mark has arrived.
    is_done: bool,
    has_reasoning: bool,
    /// Checked for UTF-8 once, at the end.
    text: Vec<u8>,
    plain: PlainEvent,
    completion: Completion,
}

impl From<SseError> for Failure {
    fn from(error: SseError) -> Failure {
        Failure::new(FailureCause::Malformed, error)
    }
}

impl ResponseReader {
    /// A reader of the answer to `prepared`, as an event stream or whole. `bounds` are those of a request without a
    /// length of its own.
    pub fn new(
        dialect: &'static dyn Dialect,
        stream: bool,
        bounds: Bounds,
        prepared: &Prepared,
    ) -> ResponseReader {
        let requested = prepared.output_tokens.map(NonZeroU32::get);
        let bounds = requested.map_or(bounds, Bounds::for_tokens);
        ResponseReader {
            bounds,
            body: match stream {
                true => Body::Stream {
                    decoder: SseDecoder::default(),
                    eventless: Vec::new(),
                },
                false => Body::Whole(Vec::new()),
            },
            keep_text: prepared.keep_text,
            answer: Answer {
                dialect,
                has_event: false,
                is_done: false,
                has_reasoning: false,
                // Kept until the server has counted its tokens; grows a few times, not per token.
                text: Vec::new(),
                plain: PlainEvent::default(),
                completion: Completion {
                    last_byte_ns: 0,
                    content_ns: match stream {
                        true => Timestamps::with_capacity(bounds.expected_events),
                        false => Timestamps::default(),
                    },
                    first_answer_ns: None,
                    usage_input: None,
                    usage_output: None,
                    refused_count: None,
                    prompt_tokens: prepared.prompt_tokens,
                    requested_output: requested,
                    text: None,
                    counted_output: None,
                    finish_reason: None,
                },
            },
        }
    }

    /// Whether the stream's end mark was read.
    pub fn is_done(&self) -> bool {
        self.answer.is_done
    }

    /// Reads bytes that arrived at `arrived_ns`; breaks at the stream's end mark.
    pub fn take(&mut self, bytes: &[u8], arrived_ns: u64, events: &AtomicU32) -> Taken {
        let answer = &mut self.answer;
        answer.completion.last_byte_ns = arrived_ns;
        match &mut self.body {
            Body::Whole(whole) => {
                if bytes.len() > self.bounds.whole.saturating_sub(whole.len()) {
                    return Err(too_large(format!("more than {} bytes", self.bounds.whole)));
                }
                whole.extend_from_slice(bytes);
            }
            Body::Stream { decoder, eventless } => {
                decoder.feed(bytes, |name, data| answer.event(name, data, arrived_ns))?;
                if !answer.has_event {
                    keep_start(eventless, bytes);
                }
                // The end mark counts even before the end of its event.
                answer.is_done |= decoder
                    .pending()
                    .is_some_and(|data| answer.dialect.is_end(data));
                let count = answer.completion.content_ns.len() as u32;
                events.store(count, Ordering::Relaxed);
                if count > self.bounds.tokens {
                    return Err(too_large(format!(
                        "more than {} content events",
                        self.bounds.tokens
                    )));
                }
                if answer.text.len() > self.bounds.text {
                    return Err(too_large(format!(
                        "more than {} bytes of text",
                        self.bounds.text
                    )));
                }
            }
        }
        Ok(match answer.is_done {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }

    /// The completion, if the response is a whole answer.
    pub fn finish(mut self) -> Result<Completion, Failure> {
        let answer = &mut self.answer;
        match &mut self.body {
            Body::Whole(whole) => answer.read_whole(whole)?,
            Body::Stream { decoder, eventless } => {
                let at_ns = answer.completion.last_byte_ns;
                match decoder.finish(|name, data| answer.event(name, data, at_ns)) {
                    // An event that was cut is ignored.
                    Err(failure) if failure.cause == FailureCause::Malformed => {}
                    other => other?,
                }
                if !answer.has_event && !eventless.trim_ascii().is_empty() {
                    return Err(no_stream(answer.dialect, eventless));
                }
                answer.require_end()?;
            }
        }
        self.answer.into_completion(self.keep_text, &self.bounds)
    }
}

impl Answer {
    /// Reads an event that arrived at `arrived_ns`.
    fn event(&mut self, name: EventName, data: &[u8], arrived_ns: u64) -> Result<(), Failure> {
        self.has_event = true;
        if self.is_done || data.trim_ascii().is_empty() {
            return Ok(());
        }
        if name == EventName::Message
            && let Some(piece) = self.plain.text(data)
        {
            if !piece.is_empty() {
                self.text.extend_from_slice(&piece);
                let is_reasoning = self.plain.is_reasoning();
                self.record_content(arrived_ns, is_reasoning, !is_reasoning);
            }
            return Ok(());
        }
        if self.dialect.is_end(data) {
            self.is_done = true;
            return Ok(());
        }
        if name == EventName::Error {
            return Err(Failure::new(FailureCause::ServerError, error_in_body(data)));
        }
        let delta = match self.dialect.decode(data) {
            Ok(delta) => delta,
            // Such as a heartbeat in plain text.
            Err(_) if name == EventName::Other => return Ok(()),
            Err(error) => {
                let message = format!("an event that is not JSON ({error}): {}", excerpt(data));
                return Err(Failure::new(FailureCause::Malformed, message));
            }
        };
        if delta.has_text() {
            self.record_content(
                arrived_ns,
                !delta.reasoning.is_empty(),
                !delta.answer.is_empty(),
            );
        }
        self.plain.learn(data, &delta);
        self.add(delta, FailureCause::ServerError)
    }

    /// Records a content event.
    fn record_content(&mut self, arrived_ns: u64, is_reasoning: bool, is_answer: bool) {
        let completion = &mut self.completion;
        completion.content_ns.push(arrived_ns);
        self.has_reasoning |= is_reasoning;
        if is_answer && self.has_reasoning && completion.first_answer_ns.is_none() {
            completion.first_answer_ns = Some(arrived_ns);
        }
    }

    /// Adds an event, or a whole answer. An error in it is a failure with this cause.
    fn add(&mut self, delta: Delta<'_>, cause_of_error: FailureCause) -> Result<(), Failure> {
        if let Some(message) = delta.error {
            return Err(Failure::new(cause_of_error, message));
        }
        self.text.extend_from_slice(delta.reasoning.as_bytes());
        self.text.extend_from_slice(delta.answer.as_bytes());
        let completion = &mut self.completion;
        // A later event may leave a count out.
        completion.usage_input = delta.usage.prompt_tokens.or(completion.usage_input);
        completion.usage_output = delta.usage.completion_tokens.or(completion.usage_output);
        if let Some(reason) = delta.finish_reason {
            completion.finish_reason = Some(reason.into_owned());
        }
        Ok(())
    }

    /// Reads an answer that is not streamed.
    fn read_whole(&mut self, whole: &[u8]) -> Result<(), Failure> {
        let whole = whole.strip_prefix(BOM).unwrap_or(whole);
        if whole.trim_ascii().is_empty() {
            return Ok(());
        }
        match self.dialect.decode(whole) {
            Ok(delta) => self.add(delta, FailureCause::ErrorAnswer),
            Err(_) if starts_as_stream(whole) => Err(Failure::new(
                FailureCause::OtherForm,
                format!(
                    "an event stream where one JSON answer was requested: {}",
                    excerpt(whole)
                ),
            )),
            Err(error) => Err(Failure::new(
                FailureCause::Malformed,
                format!("not a JSON answer ({error}): {}", excerpt(whole)),
            )),
        }
    }

    /// Fails if the stream was cut: it has neither an end mark nor a finish reason. Some servers close right after
    /// the finish reason.
    fn require_end(&self) -> Result<(), Failure> {
        let events = self.completion.content_ns.len();
        match self.is_done || self.completion.finish_reason.is_some() || !self.has_event {
            true => Ok(()),
            false => Err(Failure::new(
                FailureCause::StreamCut,
                format!(
                    "the stream ended after {events} content events, without a finish reason or [DONE]"
                ),
            )),
        }
    }

    fn into_completion(self, keep_text: bool, bounds: &Bounds) -> Result<Completion, Failure> {
        let mut completion = self.completion;
        let ended = ResponseEnd {
            reason: completion.finish_reason.as_deref(),
            has_text: !self.text.is_empty(),
            usage_output: completion.usage_output,
            events: completion.content_ns.len(),
        };
        ended.judge()?;
        completion.refused_count = completion.usage_output.take_if(|count| {
            let misses_text = ended.has_text && *count == 0;
            misses_text || *count > bounds.tokens
        });
        // Kept for the whole run, so without spare capacity.
        completion.content_ns.shrink_to_fit();
        // Without the server's count, the tokenizer counts the text.
        if keep_text || completion.usage_output.is_none() {
            completion.text = Some(match String::from_utf8(self.text) {
                Ok(text) => text,
                // A character was cut between two tokens; its bytes become U+FFFD.
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            });
        }
        Ok(completion)
    }
}

fn starts_as_stream(body: &[u8]) -> bool {
    let lines = body.split(|byte| matches!(byte, b'\n' | b'\r'));
    let mut lines = lines.filter(|line| !line.is_empty());
    let fields = [&b"data:"[..], b"event:", b"id:", b":"];
    lines
        .next()
        .is_some_and(|line| fields.iter().any(|field| line.starts_with(field)))
}

/// The failure of a body that is not an event stream, with the server's message.
fn no_stream(dialect: &dyn Dialect, body: &[u8]) -> Failure {
    match dialect.decode(body) {
        Ok(Delta {
            error: Some(message),
            ..
        }) => Failure::new(FailureCause::ErrorAnswer, message),
        Ok(delta) if delta.has_choices => Failure::new(
            FailureCause::OtherForm,
            "one JSON answer where a stream was requested: the server, or a proxy before it, does not stream; STREAM: false measures it without TTFT",
        ),
        _ => Failure::new(
            FailureCause::Malformed,
            format!("not an event stream: {}", excerpt(body)),
        ),
    }
}

fn too_large(how: String) -> Failure {
    Failure::new(
        FailureCause::TooLarge,
        format!("{how}, far more than requested: the rest was not read"),
    )
}

#[cfg(test)]
mod tests;
