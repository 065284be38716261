//! The JSON of the wire: stream chunks and whole responses, of chat and of plain completions.

use std::borrow::Cow;

use serde::Deserialize;

/// What one stream event, or one whole response, said that the harness wants to know.
#[derive(Debug, Default, PartialEq)]
pub struct Said<'a> {
    /// Generated text; empty for role-only, empty and usage-only events.
    pub text: Cow<'a, str>,
    /// `finish_reason`, once given.
    pub finish_reason: Option<Cow<'a, str>>,
    /// `usage`, once given.
    pub usage: Option<Usage>,
    /// The message of an `error` object, which ends the stream.
    pub error: Option<String>,
}

/// Token counts as the server states them.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, chat template included.
    pub prompt_tokens: u32,
    /// Tokens generated.
    #[serde(default)]
    pub completion_tokens: u32,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    usage: Option<Usage>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, alias = "message")]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    // Reasoning models stream their thinking under one of these names; the tokens are generated all the same.
    #[serde(borrow, default, alias = "reasoning")]
    reasoning_content: Option<Text<'a>>,
}

/// A string borrowed from the event where it holds no escapes.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads one event's data, or one whole response.
///
/// # Errors
/// The JSON error, where the bytes are not JSON of either form.
pub fn parse(data: &[u8]) -> Result<Said<'_>, serde_json::Error> {
    let chunk: Chunk<'_> = serde_json::from_slice(data)?;
    let mut said = Said {
        usage: chunk.usage,
        error: chunk.error.map(error_message),
        ..Said::default()
    };
    for choice in chunk.choices {
        let (content, reasoning) = match choice.delta {
            Some(delta) => (delta.content, delta.reasoning_content),
            None => (None, None),
        };
        for piece in [Some(choice.text), reasoning, content]
            .into_iter()
            .flatten()
        {
            if said.text.is_empty() {
                said.text = piece.0;
            } else {
                said.text.to_mut().push_str(&piece.0);
            }
        }
        said.finish_reason = choice.finish_reason.map(|r| r.0).or(said.finish_reason);
    }
    Ok(said)
}

/// The message of an error object in OpenAI's form, or the object itself.
fn error_message(error: serde_json::Value) -> String {
    match error.get("message").and_then(|m| m.as_str()) {
        Some(message) => message.to_owned(),
        None => error.to_string(),
    }
}

/// The message of an HTTP error body: OpenAI's and vLLM's JSON forms, else the body's first words.
pub fn error_in_body(body: &[u8]) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    match json.get("error").cloned() {
        Some(error) => error_message(error),
        None => match json.get("message").or(json.get("detail")) {
            Some(serde_json::Value::String(message)) => message.clone(),
            _ => super::excerpt(body),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_event_is_understood() {
        let cases: [(&str, &str, Option<&str>, Option<u32>); 9] = [
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
                r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
                "hm",
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
            (r#"{"object":"ping"}"#, "", None, None),
        ];
        for (json, text, finish, output) in cases {
            let said = parse(json.as_bytes()).unwrap();
            assert_eq!(said.text, text, "{json}");
            assert_eq!(said.finish_reason.as_deref(), finish, "{json}");
            assert_eq!(said.usage.map(|u| u.completion_tokens), output, "{json}");
        }
    }

    #[test]
    fn plain_content_is_borrowed_from_the_event() {
        let said = parse(br#"{"choices":[{"delta":{"content":"plain"}}]}"#).unwrap();
        assert!(matches!(said.text, Cow::Borrowed("plain")));
    }

    #[test]
    fn error_objects_give_their_message() {
        for (body, message) in [
            (
                r#"{"error":{"message":"too long","type":"BadRequestError","code":400}}"#,
                "too long",
            ),
            (r#"{"object":"error","message":"no model"}"#, "no model"),
            (r#"{"detail":"Not Found"}"#, "Not Found"),
            ("Bad Gateway", "Bad Gateway"),
        ] {
            assert_eq!(error_in_body(body.as_bytes()), message);
        }
        let said = parse(br#"{"error":{"message":"boom"}}"#).unwrap();
        assert_eq!(said.error.as_deref(), Some("boom"));
    }
}
