//! Folds the bytes of one response into a [`Completion`].

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};

use super::bounds::Bounds;
use super::chunk::{self, Delta};
use super::finish::Ended;
use super::http1::{Head, Taken};
use super::lenient::error_in_body;
use super::plain_event::PlainEvent;
use super::sse::{EventName, SseDecoder, SseError};
use super::{Completion, Failure, FailureCause, Prepared, Timestamps};

/// The state of one response while it arrives.
pub(super) struct Reader {
    bounds: Bounds,
    body: Body,
    answer: Answer,
    keep_text: bool,
}

enum Body {
    Stream {
        decoder: SseDecoder,
        /// The start of what came before any event, most often nothing: it tells what came in place of a stream.
        eventless: Vec<u8>,
    },
    Whole(Vec<u8>),
}

/// What the response has told so far.
struct Answer {
    /// Whether an event has come.
    has_event: bool,
    /// Whether the stream's end mark has come.
    is_done: bool,
    has_reasoning: bool,
    /// UTF-8 is looked for once, at the end.
    text: Vec<u8>,
    plain: PlainEvent,
    completion: Completion,
}

/// Most that is kept of a body which is no answer: the reason stands at its start.
const MOST_OF_REFUSAL: usize = 64 * 1024;

const REFUSED_KEY: &str = "the server refuses the key: set OPENAI_API_KEY (or Authorization in MODEL_HEADERS) to one it accepts";

/// The body of a response that is not 2xx.
#[derive(Default)]
pub(super) struct Refusal(Vec<u8>);

impl Refusal {
    /// Takes bytes of the body.
    pub fn take(&mut self, bytes: &[u8]) -> Taken {
        keep_start(&mut self.0, bytes);
        Ok(ControlFlow::Continue(()))
    }

    /// What it says; nothing of the body of a refused key, as that may repeat the key.
    pub fn failure(&self, head: &Head) -> Failure {
        let location = head
            .location
            .as_ref()
            .filter(|location| !location.trim().is_empty());
        let message = match location {
            _ if matches!(head.status.as_u16(), 401 | 403) => REFUSED_KEY.to_owned(),
            Some(location) if head.status.is_redirection() => format!(
                "redirected to {}: give that address in MODEL_ENDPOINTS, as redirects are not followed",
                without_query(location)
            ),
            _ => error_in_body(&self.0),
        };
        Failure {
            cause: FailureCause::Http(head.status.as_u16()),
            message,
        }
    }
}

/// A redirect's address; its query may hold a key.
fn without_query(location: &str) -> String {
    let end = location.find(['?', '#']).unwrap_or(location.len());
    super::one_line(&location[..end])
}

fn keep_start(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = MOST_OF_REFUSAL - kept.len();
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

impl From<SseError> for Failure {
    fn from(error: SseError) -> Failure {
        failure(FailureCause::Malformed, error)
    }
}

impl Reader {
    pub fn new(stream: bool, bounds: Bounds, prepared: &Prepared) -> Reader {
        Reader {
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

    /// Takes bytes that arrived at `arrived_ns`; breaks off at the stream's end mark.
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
                // The end mark is one, although its event may not have ended.
                answer.is_done |= decoder.pending().is_some_and(is_end_mark);
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

    /// Ends the response, and judges whether it is an answer.
    pub fn finish(mut self) -> Result<Completion, Failure> {
        let answer = &mut self.answer;
        match &mut self.body {
            Body::Whole(whole) => answer.read_whole(whole)?,
            Body::Stream { decoder, eventless } => {
                let at_ns = answer.completion.last_byte_ns;
                match decoder.finish(|name, data| answer.event(name, data, at_ns)) {
                    // An event that was cut is none.
                    Err(failure) if failure.cause == FailureCause::Malformed => {}
                    other => other?,
                }
                if !answer.has_event && !eventless.trim_ascii().is_empty() {
                    return Err(no_stream(eventless));
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
                self.content_at(arrived_ns, is_reasoning, !is_reasoning);
            }
            return Ok(());
        }
        if is_end_mark(data) {
            self.is_done = true;
            return Ok(());
        }
        if name == EventName::Error {
            return Err(failure(FailureCause::ServerError, error_in_body(data)));
        }
        let delta = match chunk::parse(data) {
            Ok(delta) => delta,
            // A heartbeat in words, say.
            Err(_) if name == EventName::Other => return Ok(()),
            Err(error) => {
                let message = format!("an event of no JSON ({error}): {}", super::excerpt(data));
                return Err(failure(FailureCause::Malformed, message));
            }
        };
        if delta.has_text() {
            self.content_at(
                arrived_ns,
                !delta.reasoning.is_empty(),
                !delta.answer.is_empty(),
            );
        }
        self.plain.learn(data, &delta);
        self.note(delta, FailureCause::ServerError)
    }

    /// Takes note of a content event.
    fn content_at(&mut self, arrived_ns: u64, is_reasoning: bool, is_answer: bool) {
        let completion = &mut self.completion;
        completion.content_ns.push(arrived_ns);
        self.has_reasoning |= is_reasoning;
        if is_answer && self.has_reasoning && completion.first_answer_ns.is_none() {
            completion.first_answer_ns = Some(arrived_ns);
        }
    }

    /// Keeps what an event, or a whole answer, tells. An error in it is a failure of cause `of_error`.
    fn note(&mut self, delta: Delta<'_>, of_error: FailureCause) -> Result<(), Failure> {
        if let Some(words) = delta.error {
            return Err(failure(of_error, words));
        }
        self.text.extend_from_slice(delta.reasoning.as_bytes());
        self.text.extend_from_slice(delta.answer.as_bytes());
        let completion = &mut self.completion;
        // What a later event leaves out stays.
        completion.usage_input = delta.usage.prompt_tokens.or(completion.usage_input);
        completion.usage_output = delta.usage.completion_tokens.or(completion.usage_output);
        if let Some(reason) = delta.finish_reason {
            completion.finish_reason = Some(reason.into_owned());
        }
        Ok(())
    }

    /// Reads an answer that came whole.
    fn read_whole(&mut self, whole: &[u8]) -> Result<(), Failure> {
        let whole = whole.strip_prefix(super::sse::BOM).unwrap_or(whole);
        if whole.trim_ascii().is_empty() {
            return Ok(());
        }
        match chunk::parse(whole) {
            Ok(delta) => self.note(delta, FailureCause::ErrorAnswer),
            Err(_) if starts_as_stream(whole) => Err(failure(
                FailureCause::OtherForm,
                format!(
                    "an event stream where one JSON answer was asked for: {}",
                    super::excerpt(whole)
                ),
            )),
            Err(error) => Err(failure(
                FailureCause::Malformed,
                format!("no JSON answer ({error}): {}", super::excerpt(whole)),
            )),
        }
    }

    /// A stream that reached neither its end mark nor a finish reason was cut: some servers close right after
    /// the finish reason.
    fn require_end(&self) -> Result<(), Failure> {
        let events = self.completion.content_ns.len();
        match self.is_done || self.completion.finish_reason.is_some() || !self.has_event {
            true => Ok(()),
            false => Err(failure(
                FailureCause::StreamCut,
                format!(
                    "the stream ended after {events} content events, without a finish reason or [DONE]"
                ),
            )),
        }
    }

    fn into_completion(self, keep_text: bool, bounds: &Bounds) -> Result<Completion, Failure> {
        let mut completion = self.completion;
        let ended = Ended {
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
        // Kept as long as the run lasts: give back the room that was not needed.
        completion.content_ns.shrink_to_fit();
        // Without the server's count, the text is what is left to count.
        if keep_text || completion.usage_output.is_none() {
            completion.text = Some(match String::from_utf8(self.text) {
                Ok(text) => text,
                // A character cut between two tokens; its bytes become U+FFFD.
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            });
        }
        Ok(completion)
    }
}

fn is_end_mark(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

fn starts_as_stream(body: &[u8]) -> bool {
    let lines = body.split(|byte| matches!(byte, b'\n' | b'\r'));
    let mut lines = lines.filter(|line| !line.is_empty());
    let fields = [&b"data:"[..], b"event:", b"id:", b":"];
    lines
        .next()
        .is_some_and(|line| fields.iter().any(|field| line.starts_with(field)))
}

/// What came in place of an event stream, in the server's words.
fn no_stream(body: &[u8]) -> Failure {
    match chunk::parse(body) {
        Ok(Delta {
            error: Some(words), ..
        }) => failure(FailureCause::ErrorAnswer, words),
        Ok(delta) if delta.has_choices => failure(
            FailureCause::OtherForm,
            "one JSON answer where a stream was asked for: the server, or a proxy before it, does not stream; STREAM: false measures it without TTFT",
        ),
        _ => failure(
            FailureCause::Malformed,
            format!("not an event stream: {}", super::excerpt(body)),
        ),
    }
}

fn too_large(how: String) -> Failure {
    failure(
        FailureCause::TooLarge,
        format!("{how}, far beyond what was asked for: the rest was not read"),
    )
}

fn failure(cause: FailureCause, message: impl std::fmt::Display) -> Failure {
    Failure {
        cause,
        message: message.to_string(),
    }
}

#[cfg(test)]
mod tests;
