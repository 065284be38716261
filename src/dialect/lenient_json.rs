//! Events and responses of unusual forms, read as far as possible.
//!
//! Servers and proxies differ in what is optional. No optional member may fail a request: a member that is
//! missing, null or of a wrong type is ignored, and of two names for one value the first that has one counts.

use std::borrow::Cow;

use serde_json::Value;

use super::delta::{Delta, Usage};
use super::excerpt::{excerpt, one_line};
use super::json_repair::repaired;

/// Reads one event's data, or one whole response, through a JSON tree.
///
/// # Errors
/// The JSON error, where the bytes are not JSON even with its usual faults repaired.
pub(super) fn parse(data: &[u8]) -> Result<Delta<'static>, serde_json::Error> {
    let text = String::from_utf8_lossy(data);
    let tree = serde_json::from_str(&text).or_else(|error| match repaired(&text) {
        Cow::Borrowed(_) => Err(error),
        Cow::Owned(text) => serde_json::from_str(&text),
    })?;
    Ok(delta(&tree))
}

fn delta(tree: &Value) -> Delta<'static> {
    if let Value::Array(parts) = tree {
        return first_of(parts);
    }
    let choices = list(&tree["choices"]);
    let usage = |tree: &Value| usage(&tree["usage"]);
    let mut delta = Delta {
        usage: usage(tree),
        error: error(tree),
        has_choices: !choices.is_empty(),
        ..Delta::default()
    };
    let (mut reasoning, mut answer) = (String::new(), String::new());
    for choice in choices {
        let messages = || [&choice["delta"], &choice["message"]].into_iter();
        // A proxy may send one text under both names.
        reasoning.push_str(&first_text(messages().map(reasoning_of)));
        let texts = messages().map(answer_of).chain([text(&choice["text"])]);
        answer.push_str(&first_text(texts));
        delta.finish_reason = finish_reason(choice).or(delta.finish_reason.take());
        let inner = messages().map(|each| &each["error"]);
        let mut errors = inner.chain([&choice["error"]]).filter_map(message);
        delta.error = delta.error.or_else(|| errors.next());
        let own = usage(choice);
        delta.usage.prompt_tokens = delta.usage.prompt_tokens.or(own.prompt_tokens);
        delta.usage.completion_tokens = delta.usage.completion_tokens.or(own.completion_tokens);
    }
    (delta.reasoning, delta.answer) = (reasoning.into(), answer.into());
    delta
}

/// The first error in a list of events, else the first event with choices or usage.
fn first_of(parts: &[Value]) -> Delta<'static> {
    let mut deltas: Vec<Delta<'static>> = parts.iter().map(delta).collect();
    let error = deltas.iter().position(|delta| delta.error.is_some());
    let has_content = |delta: &Delta<'_>| delta.has_choices || delta.usage != Usage::default();
    match error.or_else(|| deltas.iter().position(has_content)) {
        Some(at) => deltas.swap_remove(at),
        None => Delta::default(),
    }
}

/// A list, or a single object in place of a list.
fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        Value::Object(_) => std::slice::from_ref(value),
        _ => &[],
    }
}

fn first_text(mut texts: impl Iterator<Item = String>) -> String {
    texts.find(|text| !text.is_empty()).unwrap_or_default()
}

/// The reasoning; vLLM sent the same text under both names for several releases.
fn reasoning_of(message: &Value) -> String {
    let names = ["reasoning_content", "reasoning"].into_iter();
    first_text(names.map(|name| text(&message[name])))
}

fn answer_of(message: &Value) -> String {
    let calls = list(&message["tool_calls"]).iter();
    let calls = calls.map(|call| &call["function"]);
    let called: String = calls
        .chain([&message["function_call"]])
        .flat_map(|call| [text(&call["name"]), text(&call["arguments"])])
        .collect();
    text(&message["content"]) + &text(&message["refusal"]) + &called
}

/// A string, or the texts of a list of parts.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text).collect(),
        Value::Number(number) => number.to_string(),
        Value::Object(part) => {
            let names = ["text", "refusal", "content"].into_iter();
            first_text(names.filter_map(|name| part.get(name)).map(text))
        }
        _ => String::new(),
    }
}

/// A reason that is not empty; SGLang sends an object with a `type`.
fn finish_reason(choice: &Value) -> Option<Cow<'static, str>> {
    let reason = match &choice["finish_reason"] {
        Value::Object(reason) => reason.get("type").map(text).unwrap_or_default(),
        Value::String(reason) => reason.clone(),
        Value::Number(reason) => reason.to_string(),
        _ => String::new(),
    };
    (!reason.is_empty()).then(|| reason.into())
}

/// The counts under the names of the chat API, or of the responses API.
fn usage(usage: &Value) -> Usage {
    let first = |names: [&str; 2]| names.into_iter().find_map(|name| count(&usage[name]));
    Usage {
        prompt_tokens: first(["prompt_tokens", "input_tokens"]),
        completion_tokens: first(["completion_tokens", "output_tokens"]),
    }
}

/// A whole number that is not negative, also as `12.0` or `"12"`.
fn count(value: &Value) -> Option<u32> {
    let whole = |number: f64| {
        let fits = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        fits.then_some(number as u32)
    };
    match value {
        Value::Number(number) => whole(number.as_f64()?),
        Value::String(text) => whole(text.trim().parse().ok()?),
        _ => None,
    }
}

/// The message of an error response: of an `error` object in OpenAI's form, or of an object that is only an
/// error.
fn error(tree: &Value) -> Option<String> {
    const NAMES: [&str; 5] = ["error", "Error", "ERROR", "fault", "exception"];
    if let Some(message) = NAMES.into_iter().find_map(|name| message(&tree[name])) {
        return Some(message);
    }
    let named = ["object", "type"].iter().any(|name| tree[name] == "error");
    let is_error = named || has_error_code(tree) || tree["success"] == false;
    let answers = !list(&tree["choices"]).is_empty() || tree["usage"].is_object();
    match is_error || !answers {
        true => flat_error(tree, is_error),
        false => None,
    }
}

/// The message of an object without an answer, under one of the names that servers and proxies use.
fn flat_error(tree: &Value, is_error: bool) -> Option<String> {
    const NAMES: [&str; 6] = [
        "message",
        "detail",
        "errors",
        "error_message",
        "error_msg",
        "msg",
    ];
    let named = NAMES.into_iter().find_map(|name| message(&tree[name]));
    // FastChat's error.
    let named = named.or_else(|| match count(&tree["error_code"]) {
        None | Some(0) => None,
        Some(_) => message(&tree["text"]),
    });
    named.or_else(|| is_error.then(|| one_line(&tree.to_string())))
}

/// Whether an object holds the code of an HTTP error.
fn has_error_code(tree: &Value) -> bool {
    let codes = ["code", "status", "status_code"].into_iter();
    let failed = |value: &Value| count(value).is_some_and(|code| (400..600).contains(&code));
    codes.map(|name| &tree[name]).any(failed)
}

/// The message of an error at any depth; `None` for null and empty values.
fn message(value: &Value) -> Option<String> {
    let found = match value {
        Value::Null | Value::Bool(false) => return None,
        Value::String(text) => text.clone(),
        Value::Object(error) if error.is_empty() => return None,
        Value::Object(error) => {
            let names = ["message", "detail", "error", "msg", "type"].into_iter();
            let inner = names.filter_map(|name| message(error.get(name)?)).next();
            inner.unwrap_or_else(|| value.to_string())
        }
        Value::Array(list) => {
            let each: Vec<String> = list.iter().filter_map(message).collect();
            each.join("; ")
        }
        other => other.to_string(),
    };
    let line = one_line(&found);
    (!line.is_empty()).then_some(line)
}

/// The message of an HTTP error body in the JSON of OpenAI, vLLM or FastAPI, else the start of the body.
pub(crate) fn error_in_body(body: &[u8]) -> String {
    let tree = serde_json::from_slice::<Value>(body).unwrap_or_default();
    error(&tree).unwrap_or_else(|| excerpt(body))
}

#[cfg(test)]
mod tests;
