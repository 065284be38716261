//! The bytes of vLLM's server-sent events, field by field in vLLM's order.
//!
//! The constant parts of a response's events are formatted once; for each token only its
//! text is copied.

use std::fmt::Write;

use bytes::Bytes;

use super::output::OutputPlan;
use super::text::escape;

/// The last event of a stream.
pub(super) const DONE: &str = "data: [DONE]\n\n";

/// The API of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GenerationApi {
    Chat,
    Completions,
}

impl GenerationApi {
    /// Prefix of response ids.
    pub(super) fn id_prefix(self) -> &'static str {
        match self {
            GenerationApi::Chat => "chatcmpl-",
            GenerationApi::Completions => "cmpl-",
        }
    }
}

/// The token counts of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResponseTokens {
    pub(super) prompt_tokens: usize,
    pub(super) completion_tokens: u32,
}

impl ResponseTokens {
    /// Prompt and output together.
    pub(super) fn total(&self) -> usize {
        self.prompt_tokens + self.completion_tokens as usize
    }
}

/// Writes the events of one response.
#[derive(Debug)]
pub(super) struct EventWriter {
    api: GenerationApi,
    /// Up to and including `"choices":[`.
    head: String,
    fingerprint: Box<str>,
}

impl EventWriter {
    pub(super) fn new(
        api: GenerationApi,
        id: &str,
        created: u64,
        model: &str,
        fingerprint: &str,
    ) -> EventWriter {
        let object = match api {
            GenerationApi::Chat => "chat.completion.chunk",
            GenerationApi::Completions => "text_completion",
        };
        let head = format!(
            "data: {{\"id\":\"{}\",\"object\":\"{object}\",\"created\":{created},\"model\":\"{}\",\"choices\":[",
            escape(id),
            escape(model),
        );
        EventWriter {
            api,
            head,
            fingerprint: escape(fingerprint),
        }
    }

    /// The first event of a choice of a chat response: the role, with empty content.
    pub(super) fn role(&self, choice: usize, usage: Option<ResponseTokens>, out: &mut String) {
        out.push_str(&self.head);
        let _ = write!(
            out,
            "{{\"index\":{choice},\"delta\":{{\"role\":\"assistant\",\"content\":\"\"}},\"logprobs\":null,\"finish_reason\":null}}]"
        );
        self.push_usage_so_far(usage, out);
        out.push_str(",\"prompt_token_ids\":null,\"prompt_text\":null}\n\n");
    }

    /// Begins an event that carries text; the caller appends the text, escaped for JSON,
    /// and ends it with [`EventWriter::end_text`].
    pub(super) fn begin_text(&self, choice: usize, out: &mut String) {
        out.push_str(&self.head);
        let before = match self.api {
            GenerationApi::Chat => "\"delta\":{\"content\":\"",
            GenerationApi::Completions => "\"text\":\"",
        };
        match choice {
            0 => out.push_str("{\"index\":0,"),
            _ => {
                let _ = write!(out, "{{\"index\":{choice},");
            }
        }
        out.push_str(before);
    }

    /// Ends an event that carries text. `logprobs` is a JSON object; `end` is given with the
    /// choice's last token.
    pub(super) fn end_text(
        &self,
        logprobs: Option<&str>,
        end: Option<&OutputPlan>,
        usage: Option<ResponseTokens>,
        out: &mut String,
    ) {
        out.push_str(match self.api {
            GenerationApi::Chat => "\"},\"logprobs\":",
            GenerationApi::Completions => "\",\"logprobs\":",
        });
        out.push_str(logprobs.unwrap_or("null"));
        match end {
            None => out.push_str(",\"finish_reason\":null"),
            Some(plan) => {
                let _ = write!(out, ",\"finish_reason\":\"{}\"", plan.finish.id());
            }
        }
        // Chat events carry a stop reason only where they carry a finish reason.
        if end.is_some() || self.api == GenerationApi::Completions {
            match end.and_then(|plan| plan.stop_reason.as_deref()) {
                None => out.push_str(",\"stop_reason\":null"),
                Some(stop) => {
                    let _ = write!(out, ",\"stop_reason\":\"{}\"", escape(stop));
                }
            }
        }
        if self.api == GenerationApi::Completions {
            out.push_str(",\"prompt_token_ids\":null");
        }
        out.push_str(",\"token_ids\":null}]");
        self.push_usage_so_far(usage, out);
    }

    /// Closes an event. The last event of a choice, in a response without usage, has the fingerprint.
    pub(super) fn close(&self, with_fingerprint: bool, out: &mut String) {
        if with_fingerprint {
            let _ = write!(out, ",\"system_fingerprint\":\"{}\"", self.fingerprint);
        }
        out.push_str("}\n\n");
    }

    /// The event that carries the usage, with no choices.
    pub(super) fn usage(&self, usage: ResponseTokens, out: &mut String) {
        out.push_str(&self.head);
        out.push(']');
        push_usage(usage, "", out);
        self.close(true, out);
    }

    /// Usage in an event before the last one; chat events state explicitly that there are no details.
    fn push_usage_so_far(&self, usage: Option<ResponseTokens>, out: &mut String) {
        if let Some(usage) = usage {
            let details = match self.api {
                GenerationApi::Chat => ",\"completion_tokens_details\":null",
                GenerationApi::Completions => "",
            };
            push_usage(usage, details, out);
        }
    }

    /// The end of a stream without further text: a finish reason and the last event.
    pub(super) fn finish(&self, reason: &str) -> Bytes {
        let text = match self.api {
            GenerationApi::Chat => "\"delta\":{}",
            GenerationApi::Completions => "\"text\":\"\"",
        };
        let head = &self.head;
        Bytes::from(format!(
            "{head}{{\"index\":0,{text},\"finish_reason\":\"{reason}\"}}]}}\n\n{DONE}"
        ))
    }

    /// An event truncated in the middle of its JSON.
    pub(super) fn malformed(&self) -> Bytes {
        Bytes::from(format!("{}{{\"index\":0,\"delta\":{{\n\n", self.head))
    }
}

fn push_usage(usage: ResponseTokens, details: &str, out: &mut String) {
    let _ = write!(
        out,
        ",\"usage\":{{\"prompt_tokens\":{},\"total_tokens\":{},\"completion_tokens\":{}{details}}}",
        usage.prompt_tokens,
        usage.total(),
        usage.completion_tokens
    );
}

#[cfg(test)]
mod tests {
    use super::super::output::FinishReason;
    use super::*;

    fn events(api: GenerationApi) -> EventWriter {
        EventWriter::new(api, "x-1", 5, "m\"q", "fp")
    }

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn a_chat_response_has_the_bytes_of_vllm() {
        let events = events(GenerationApi::Chat);
        assert_eq!(
            written(|out| events.role(0, None, out)),
            "data: {\"id\":\"x-1\",\"object\":\"chat.completion.chunk\",\"created\":5,\"model\":\"m\\\"q\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}],\"prompt_token_ids\":null,\"prompt_text\":null}\n\n"
        );
        let plan = OutputPlan {
            tokens: 1,
            finish: FinishReason::Length,
            stop_reason: None,
            text_bytes: None,
        };
        let last = written(|out| {
            events.begin_text(0, out);
            out.push_str(" a");
            events.end_text(None, Some(&plan), None, out);
            events.close(true, out);
        });
        assert_eq!(
            last,
            "data: {\"id\":\"x-1\",\"object\":\"chat.completion.chunk\",\"created\":5,\"model\":\"m\\\"q\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" a\"},\"logprobs\":null,\"finish_reason\":\"length\",\"stop_reason\":null,\"token_ids\":null}],\"system_fingerprint\":\"fp\"}\n\n"
        );
        let usage = ResponseTokens {
            prompt_tokens: 3,
            completion_tokens: 4,
        };
        assert_eq!(
            written(|out| events.usage(usage, out)),
            "data: {\"id\":\"x-1\",\"object\":\"chat.completion.chunk\",\"created\":5,\"model\":\"m\\\"q\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"total_tokens\":7,\"completion_tokens\":4},\"system_fingerprint\":\"fp\"}\n\n"
        );
    }

    #[test]
    fn a_completion_event_has_the_bytes_of_vllm() {
        let event = written(|out| {
            let events = events(GenerationApi::Completions);
            events.begin_text(2, out);
            out.push_str("a\\n");
            events.end_text(None, None, None, out);
            events.close(false, out);
        });
        assert_eq!(
            event,
            "data: {\"id\":\"x-1\",\"object\":\"text_completion\",\"created\":5,\"model\":\"m\\\"q\",\"choices\":[{\"index\":2,\"text\":\"a\\n\",\"logprobs\":null,\"finish_reason\":null,\"stop_reason\":null,\"prompt_token_ids\":null,\"token_ids\":null}]}\n\n"
        );
    }
}
