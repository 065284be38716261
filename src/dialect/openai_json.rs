//! The usual JSON of stream events and whole responses, of chat and of plain completions.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::delta::{Delta, Usage};
use super::lenient_json;

/// The usual form of an event, read without building a tree.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    usage: Option<Usage>,
    error: Option<IgnoredAny>,
    code: Option<IgnoredAny>,
    #[serde(borrow)]
    object: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Message<'a>>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
    usage: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    // Reasoning models stream their thinking under one of these names; the tokens are generated all the same.
    #[serde(borrow)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning: Option<Text<'a>>,
    refusal: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
    tool_calls: Option<IgnoredAny>,
    function_call: Option<IgnoredAny>,
}

/// A string borrowed from the event where it holds no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads one event's data, or one whole response.
///
/// # Errors
/// The JSON error, where the bytes are not JSON even if read leniently.
pub(super) fn parse(data: &[u8]) -> Result<Delta<'_>, serde_json::Error> {
    match serde_json::from_slice::<Chunk<'_>>(data) {
        Ok(chunk) if chunk.is_usual() => Ok(chunk.into_delta()),
        // Another form, or only an error, or members of unusual types.
        _ => lenient_json::parse(data),
    }
}

impl<'a> Chunk<'a> {
    /// Whether each member has a single meaning.
    fn is_usual(&self) -> bool {
        let is_error = self.object.as_ref().is_some_and(|o| o.0 == "error");
        let has_content = !self.choices.is_empty() || self.usage.is_some();
        let counts = |usage: Usage| usage.completion_tokens.is_some();
        has_content
            && self.usage.is_none_or(counts)
            && !is_error
            && self.error.is_none()
            && self.code.is_none()
            && self.choices.iter().all(Choice::is_usual)
    }

    fn into_delta(self) -> Delta<'a> {
        let mut delta = Delta {
            usage: self.usage.unwrap_or_default(),
            has_choices: !self.choices.is_empty(),
            ..Delta::default()
        };
        for choice in self.choices {
            let text = choice.text.map(|text| text.0);
            if let Some(message) = choice.delta.or(choice.message) {
                let reasoning = message.reasoning_content.or(message.reasoning);
                append(&mut delta.reasoning, reasoning.map(|text| text.0));
                append(&mut delta.answer, message.content.map(|text| text.0));
            }
            append(&mut delta.answer, text);
            let reason = choice.finish_reason.map(|reason| reason.0);
            let reason = reason.filter(|reason| !reason.is_empty());
            delta.finish_reason = reason.or(delta.finish_reason);
        }
        delta
    }
}

impl Choice<'_> {
    fn is_usual(&self) -> bool {
        let text = self.text.as_ref().is_some_and(|text| !text.0.is_empty());
        let texts = [self.delta.is_some(), self.message.is_some(), text];
        let messages = || self.delta.iter().chain(&self.message);
        texts.into_iter().filter(|has| *has).count() <= 1
            && self.usage.is_none()
            && self.error.is_none()
            && messages().all(Message::is_usual)
    }
}

impl Message<'_> {
    fn is_usual(&self) -> bool {
        (self.reasoning_content.is_none() || self.reasoning.is_none())
            && self.refusal.is_none()
            && self.error.is_none()
            && self.tool_calls.is_none()
            && self.function_call.is_none()
    }
}

/// Adds a piece of text; the first stays borrowed.
fn append<'a>(text: &mut Cow<'a, str>, piece: Option<Cow<'a, str>>) {
    match piece {
        Some(piece) if text.is_empty() => *text = piece,
        Some(piece) => text.to_mut().push_str(&piece),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_shape_of_event_is_understood() {
        let cases: [(&str, &str, Option<&str>, Option<u32>); 8] = [
            (
                r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
                "",
                None,
                None,
            ),
            (
                r#"{"choices":[{"index":0,"delta":{"content":" Hi"},"logprobs":null,"finish_reason":null}]}"#,
                " Hi",
                None,
                None,
            ),
            (
                r#"{"choices":[{"delta":{"content":"a\nb"}}],"usage":null}"#,
                "a\nb",
                None,
                None,
            ),
            (
                r#"{"choices":[{"delta":{"content":null},"finish_reason":"length"}]}"#,
                "",
                Some("length"),
                None,
            ),
            (
                r#"{"choices":[{"delta":{"content":"a"},"finish_reason":""}]}"#,
                "a",
                None,
                None,
            ),
            (
                r#"{"choices":[],"usage":{"prompt_tokens":3,"total_tokens":8,"completion_tokens":5}}"#,
                "",
                None,
                Some(5),
            ),
            (
                r#"{"choices":[{"index":0,"text":"word","finish_reason":null}]}"#,
                "word",
                None,
                None,
            ),
            (
                r#"{"choices":[{"message":{"role":"assistant","content":"whole"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
                "whole",
                Some("stop"),
                Some(2),
            ),
        ];
        for (json, text, finish, output) in cases {
            let chunk: Chunk<'_> = serde_json::from_str(json).unwrap();
            assert!(chunk.is_usual(), "{json}");
            let delta = parse(json.as_bytes()).unwrap();
            assert_eq!(delta.answer, text, "{json}");
            assert_eq!(delta.finish_reason.as_deref(), finish, "{json}");
            assert_eq!(delta.usage.completion_tokens, output, "{json}");
            assert_eq!(delta.error, None, "{json}");
            // What is read without a tree is what the tree would have given.
            assert_eq!(
                lenient_json::parse(json.as_bytes()).unwrap(),
                delta,
                "{json}"
            );
        }
    }

    #[test]
    fn reasoning_is_kept_apart_from_the_answer() {
        let delta = parse(br#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#).unwrap();
        assert_eq!((&*delta.reasoning, &*delta.answer), ("hm", ""));
        let delta =
            parse(br#"{"choices":[{"message":{"reasoning":"hm","content":"yes"}}]}"#).unwrap();
        assert_eq!((&*delta.reasoning, &*delta.answer), ("hm", "yes"));
    }

    #[test]
    fn plain_content_is_borrowed_from_the_event() {
        let delta = parse(br#"{"choices":[{"delta":{"content":"plain"}}]}"#).unwrap();
        assert!(matches!(delta.answer, Cow::Borrowed("plain")));
    }
}
