//! The usual event of a stream, read without parsing all of it.

use std::borrow::Cow;

use crate::dialect::{Delta, Usage};

/// The bytes around the text in a stream's plain content events.
///
/// Within one response only the text changes from one such event to the next. So the bytes
/// before and after the text are learnt from an event that was fully parsed, and an event with the
/// same bytes around a JSON string holds only that string. Any other event (role, last,
/// usage, error, another server's form) does not match and is fully parsed.
#[derive(Debug, Default)]
pub(super) struct PlainEvent {
    /// Up to and including the quote before the text; empty until learnt.
    before: Vec<u8>,
    /// From the quote behind the text on.
    after: Vec<u8>,
    /// Whether the text is reasoning and not part of the answer.
    is_reasoning: bool,
}

impl PlainEvent {
    /// Learns from an event that was parsed to `delta`, if that is only one text.
    pub fn learn(&mut self, data: &[u8], delta: &Delta<'_>) {
        let (text, is_reasoning) = match (&delta.reasoning, &delta.answer) {
            (text, other) if other.is_empty() => (text, true),
            (other, text) if other.is_empty() => (text, false),
            _ => return,
        };
        let Cow::Borrowed(text) = *text else {
            return;
        };
        let has_more = delta.finish_reason.is_some() || delta.error.is_some();
        let plain = !has_more && delta.usage == Usage::default();
        // The text is a slice of `data`.
        let start = (text.as_ptr() as usize).wrapping_sub(data.as_ptr() as usize);
        if !plain || text.is_empty() || start >= data.len() {
            return;
        }
        let (before, rest) = data.split_at(start);
        let after = &rest[text.len()..];
        if before.ends_with(b"\"") && after.starts_with(b"\"") {
            self.before.clear();
            self.before.extend_from_slice(before);
            self.after.clear();
            self.after.extend_from_slice(after);
            self.is_reasoning = is_reasoning;
        }
    }

    /// Whether the text of a plain event is reasoning.
    pub fn is_reasoning(&self) -> bool {
        self.is_reasoning
    }

    /// The text of a plain event, not checked for UTF-8; `None` if the event must be fully parsed.
    pub fn text<'a>(&self, data: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        if self.before.is_empty() {
            return None;
        }
        let text = data.strip_prefix(&self.before[..])?;
        let text = text.strip_suffix(&self.after[..])?;
        let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
        if !text.iter().any(is_special) {
            return Some(Cow::Borrowed(text));
        }
        // With its quotes it must be a JSON string, else the event is not plain.
        let end = self.before.len() + text.len() + 1;
        serde_json::from_slice(&data[self.before.len() - 1..end])
            .ok()
            .map(|text: String| Cow::Owned(text.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{ChatCompletions, Dialect};

    fn decode(event: &str) -> Delta<'_> {
        ChatCompletions.decode(event.as_bytes()).expect("JSON")
    }

    fn learnt(event: &str) -> PlainEvent {
        let mut plain = PlainEvent::default();
        plain.learn(event.as_bytes(), &decode(event));
        plain
    }

    fn event(text: &str) -> String {
        format!(
            r#"{{"id":"x","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#
        )
    }

    #[test]
    fn an_event_of_the_same_form_has_the_text_that_a_full_parse_returns() {
        let plain = learnt(&event("a"));
        for text in [
            "b",
            " word",
            "é 漢字",
            r"line\n",
            r#"\"quoted\""#,
            r"\u00e9\\",
            "",
        ] {
            let event = event(text);
            let whole = decode(&event);
            let text = plain.text(event.as_bytes()).expect("plain");
            assert_eq!(*text, *whole.answer.as_bytes());
        }
        assert!(matches!(
            plain.text(event("b").as_bytes()),
            Some(Cow::Borrowed(b"b"))
        ));
    }

    #[test]
    fn reasoning_is_learnt_as_reasoning_until_the_answer_starts() {
        let reasoning = event("a").replace("content", "reasoning_content");
        let mut plain = learnt(&reasoning);
        assert!(plain.is_reasoning());
        let answer = event("b");
        assert_eq!(plain.text(answer.as_bytes()), None);
        plain.learn(answer.as_bytes(), &decode(&answer));
        assert!(!plain.is_reasoning());
        assert_eq!(plain.text(reasoning.as_bytes()), None);
    }

    #[test]
    fn any_other_event_is_left_to_the_full_parse() {
        let plain = learnt(&event("a"));
        for other in [
            event("a").replace("null", "\"length\""),
            event("a").replace("\"id\":\"x\"", "\"id\":\"y\""),
            event(r#"a"},"delta2":{"content":"b"#),
            event("a\u{1}"),
            r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#.to_owned(),
            r#"{"error":{"message":"boom"}}"#.to_owned(),
            "[DONE]".to_owned(),
            String::new(),
        ] {
            assert_eq!(plain.text(other.as_bytes()), None, "{other}");
        }
        assert_eq!(PlainEvent::default().text(event("a").as_bytes()), None);
    }

    #[test]
    fn nothing_is_learnt_from_an_event_with_more_than_text() {
        for event in [
            event(""),
            event(r"a\nb"),
            event("a").replace("null", "\"stop\""),
            r#"{"choices":[{"text":"a"}],"usage":{"prompt_tokens":1}}"#.to_owned(),
        ] {
            assert!(learnt(&event).before.is_empty(), "{event}");
        }
    }
}
