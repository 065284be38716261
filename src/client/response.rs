//! Folds the bytes of one response into a [`Completion`].

use std::sync::atomic::{AtomicU32, Ordering};

use ureq_proto::http::StatusCode;

use super::chunk::{self, Said};
use super::plain_event::PlainEvent;
use super::sse::{SseDecoder, SseError};
use super::{Completion, Failure, FailureCause, Prepared, Timestamps};

/// The state of one response while it arrives.
pub(super) struct Reader {
    body: Body,
    done: bool,
    keep_text: bool,
    /// UTF-8 is looked for once, at the end.
    text: Vec<u8>,
    plain: PlainEvent,
    completion: Completion,
}

enum Body {
    Stream(SseDecoder),
    Whole(Vec<u8>),
}

/// The body of a response that is not 2xx.
#[derive(Default)]
pub(super) struct Refusal(Vec<u8>);

impl Refusal {
    /// Most that is kept: the reason stands in the beginning.
    const MOST_BYTES: usize = 64 * 1024;

    /// Takes bytes of the body.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let room = Refusal::MOST_BYTES - self.0.len();
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }

    /// What it says.
    pub fn failure(&self, status: StatusCode) -> Failure {
        Failure {
            cause: FailureCause::Http(status.as_u16()),
            message: chunk::error_in_body(&self.0),
        }
    }
}

impl From<SseError> for Failure {
    fn from(error: SseError) -> Failure {
        malformed(error)
    }
}

impl Reader {
    pub fn new(stream: bool, expected_events: usize, prepared: &Prepared) -> Reader {
        Reader {
            body: match stream {
                true => Body::Stream(SseDecoder::default()),
                false => Body::Whole(Vec::new()),
            },
            done: false,
            keep_text: prepared.keep_text,
            // Kept until the server has counted its tokens; grows a few times, not per token.
            text: Vec::new(),
            plain: PlainEvent::default(),
            completion: Completion {
                last_byte_ns: 0,
                content_ns: match stream {
                    true => Timestamps::with_capacity(expected_events),
                    false => Timestamps::default(),
                },
                usage_input: None,
                usage_output: None,
                prompt_tokens: prepared.prompt_tokens,
                text: None,
                counted_output: None,
                finish_reason: None,
            },
        }
    }

    /// Whether the stream's end mark was read.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Takes bytes that arrived at `arrived_ns`.
    pub fn take(
        &mut self,
        bytes: &[u8],
        arrived_ns: u64,
        events: &AtomicU32,
    ) -> Result<(), Failure> {
        self.completion.last_byte_ns = arrived_ns;
        match &mut self.body {
            Body::Whole(whole) => {
                whole.extend_from_slice(bytes);
                Ok(())
            }
            Body::Stream(decoder) => {
                let (completion, done) = (&mut self.completion, &mut self.done);
                let (text, plain) = (&mut self.text, &mut self.plain);
                decoder.feed(bytes, |data| {
                    if *done {
                        return Ok(());
                    }
                    if let Some(piece) = plain.text(data) {
                        if !piece.is_empty() {
                            completion.content_ns.push(arrived_ns);
                            text.extend_from_slice(&piece);
                        }
                        return Ok(());
                    }
                    if data == b"[DONE]" {
                        *done = true;
                        return Ok(());
                    }
                    let said = chunk::parse(data).map_err(malformed)?;
                    if !said.text.is_empty() {
                        completion.content_ns.push(arrived_ns);
                    }
                    plain.learn(data, &said);
                    note(completion, text, said)
                })?;
                events.store(completion.content_ns.len() as u32, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Ends the response; a stream that did not reach its end mark was cut.
    pub fn finish(mut self) -> Result<Completion, Failure> {
        match &self.body {
            Body::Whole(whole) => {
                let said = chunk::parse(whole).map_err(malformed)?;
                note(&mut self.completion, &mut self.text, said)?;
            }
            // Some servers close right after the finish reason, without an end mark.
            Body::Stream(_) if !self.done && self.completion.finish_reason.is_none() => {
                return Err(Failure {
                    cause: FailureCause::StreamCut,
                    message: format!(
                        "the stream ended after {} content events, without a finish reason or [DONE]",
                        self.completion.content_ns.len()
                    ),
                });
            }
            Body::Stream(_) => {}
        }
        // Kept as long as the run lasts: give back the room that was not needed.
        self.completion.content_ns.shrink_to_fit();
        let text = String::from_utf8(self.text).map_err(malformed)?;
        // Without the server's count, the text is what is left to count.
        if self.keep_text || self.completion.usage_output.is_none() {
            self.completion.text = Some(text);
        }
        Ok(self.completion)
    }
}

/// Keeps what an event said.
fn note(completion: &mut Completion, text: &mut Vec<u8>, said: Said<'_>) -> Result<(), Failure> {
    if let Some(message) = said.error {
        return Err(Failure {
            cause: FailureCause::ServerError,
            message,
        });
    }
    text.extend_from_slice(said.text.as_bytes());
    if let Some(usage) = said.usage {
        completion.usage_input = Some(usage.prompt_tokens);
        completion.usage_output = Some(usage.completion_tokens);
    }
    if let Some(reason) = said.finish_reason {
        completion.finish_reason = Some(reason.into_owned());
    }
    Ok(())
}

fn malformed(error: impl std::fmt::Display) -> Failure {
    Failure {
        cause: FailureCause::Malformed,
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &[&str] = &[
        r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
        r#"{"choices":[{"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"content":"b"},"finish_reason":"length"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2}}"#,
        "[DONE]",
    ];

    fn reader(stream: bool, keep_text: bool) -> Reader {
        let prepared = Prepared {
            url: "http://localhost/".parse().unwrap(),
            body: Default::default(),
            prompt_tokens: 3,
            keep_text,
            request_id: None,
        };
        Reader::new(stream, 8, &prepared)
    }

    fn data(event: &str) -> Vec<u8> {
        format!("data: {event}\n\n").into_bytes()
    }

    fn read(stream: bool, pieces: &[&str]) -> (Result<Completion, Failure>, u32) {
        read_keeping(stream, pieces, true)
    }

    fn read_keeping(
        stream: bool,
        pieces: &[&str],
        keep_text: bool,
    ) -> (Result<Completion, Failure>, u32) {
        let events = AtomicU32::new(0);
        let mut reader = reader(stream, keep_text);
        let mut result = Ok(());
        for (i, piece) in pieces.iter().enumerate() {
            let bytes = match stream {
                true => data(piece),
                false => piece.as_bytes().to_vec(),
            };
            result = result.and(reader.take(&bytes, 10 * (i as u64 + 1), &events));
        }
        let result = result.and_then(|()| reader.finish());
        (result, events.into_inner())
    }

    #[test]
    fn only_events_with_content_are_timed_and_counted() {
        let (result, events) = read(true, CHAT);
        let completion = result.unwrap();
        assert_eq!(completion.content_ns.iter().collect::<Vec<_>>(), [20, 30]);
        assert_eq!(events, 2);
        assert_eq!(completion.last_byte_ns, 50);
        assert_eq!(
            (completion.usage_input, completion.usage_output),
            (Some(4), Some(2))
        );
        assert_eq!(completion.text.as_deref(), Some("ab"));
    }

    #[test]
    fn the_text_is_kept_where_wanted_or_where_nobody_else_counts() {
        let whole = |keep| read_keeping(true, CHAT, keep).0.unwrap();
        assert_eq!(whole(false).text, None);
        let uncounted: Vec<_> = CHAT
            .iter()
            .copied()
            .filter(|e| !e.contains("usage"))
            .collect();
        let completion = read_keeping(true, &uncounted, false).0.unwrap();
        assert_eq!(completion.text.as_deref(), Some("ab"));
    }

    #[test]
    fn a_stream_without_its_end_is_a_cut() {
        let failure = read(true, &CHAT[..2]).0.unwrap_err();
        assert_eq!(failure.cause, FailureCause::StreamCut);
        assert!(
            failure.message.contains("after 1 content events"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn a_stream_that_closes_after_its_finish_reason_is_whole() {
        assert!(read(true, &CHAT[..3]).0.is_ok());
    }

    #[test]
    fn an_error_event_and_broken_json_are_failures_of_their_own_kind() {
        let error = read(true, &[CHAT[1], r#"{"error":{"message":"engine died"}}"#]);
        let failure = error.0.unwrap_err();
        assert_eq!(failure.cause, FailureCause::ServerError);
        assert_eq!(failure.message, "engine died");
        let failure = read(true, &[r#"{"choices":[{"#]).0.unwrap_err();
        assert_eq!(failure.cause, FailureCause::Malformed);
    }

    #[test]
    fn a_text_that_is_not_utf_8_is_malformed_even_where_nobody_keeps_it() {
        let events = AtomicU32::new(0);
        let mut reader = reader(true, false);
        let mut broken = data(CHAT[1]);
        let last = broken.iter().rposition(|byte| *byte == b'a').unwrap();
        broken[last] = 0xff;
        for bytes in [data(CHAT[1]), broken, data(CHAT[2]), data(CHAT[3])] {
            reader.take(&bytes, 10, &events).unwrap();
        }
        let failure = reader.finish().unwrap_err();
        assert_eq!(failure.cause, FailureCause::Malformed);
        assert!(failure.message.contains("utf-8"), "{}", failure.message);
    }

    #[test]
    fn a_whole_response_is_read_at_its_end() {
        let whole = r#"{"choices":[{"text":"xyz","finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":3}}"#;
        let completion = read(false, &[&whole[..20], &whole[20..]]).0.unwrap();
        assert!(completion.content_ns.is_empty());
        assert_eq!(completion.usage_output, Some(3));
        assert_eq!(completion.finish_reason.as_deref(), Some("stop"));
    }
}
