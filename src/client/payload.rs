//! The JSON body of a request, serialised once and before the clock runs.

use std::num::NonZeroU32;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::expected_answer::ExpectedAnswer;
use crate::config::Settings;
use crate::dialect::Dialect;

/// A request body without its prompt.
#[derive(Clone, Debug)]
pub struct PayloadTemplate {
    dialect: &'static dyn Dialect,
    fields: Map<String, Value>,
    /// The fields that a request with an output length of its own sets to it.
    length_fields: Vec<&'static str>,
}

impl PayloadTemplate {
    /// Sets the fields that all requests of a run share.
    ///
    /// `fix_output_length` adds vLLM's `ignore_eos` and `min_tokens`, so that every answer has exactly as many tokens
    /// as its request asks for: its own number, or `MAX_NEW_TOKENS`. `EXTRA_BODY` is applied last and so wins; its
    /// `null`s leave fields out.
    pub fn new(
        config: &Settings,
        dialect: &'static dyn Dialect,
        model: &str,
        fix_output_length: bool,
    ) -> PayloadTemplate {
        let max_tokens = config.max_new_tokens.get();
        let Value::Object(mut fields) = json!({
            "model": model,
            "max_tokens": max_tokens,
            "temperature": config.temperature,
            "top_p": config.top_p,
            "stream": config.stream,
        }) else {
            unreachable!("an object literal is an object")
        };
        if config.stream {
            fields.insert("stream_options".into(), json!({"include_usage": true}));
        }
        if fix_output_length {
            fields.insert("ignore_eos".into(), true.into());
            fields.insert("min_tokens".into(), max_tokens.into());
        }
        for (name, value) in &config.extra_body {
            match value {
                Value::Null => fields.shift_remove(name),
                value => fields.insert(name.clone(), value.clone()),
            };
        }
        let own = ["max_tokens", "min_tokens"].into_iter();
        let is_own =
            |name: &&str| fields.contains_key(*name) && !config.extra_body.contains_key(*name);
        PayloadTemplate {
            length_fields: own.filter(is_own).collect(),
            dialect,
            fields,
        }
    }

    /// The output length that a request will have which wants `own`; `None` for that of all requests, which
    /// `EXTRA_BODY` may demand.
    pub fn output_tokens(&self, own: Option<NonZeroU32>) -> Option<NonZeroU32> {
        own.filter(|_| self.length_fields.contains(&"max_tokens"))
    }

    /// What the answer to each request must be.
    pub fn expected_answer(&self) -> ExpectedAnswer {
        let number = |name: &str| u32::try_from(self.fields.get(name)?.as_u64()?).ok();
        let max_output_tokens = number("max_completion_tokens").or_else(|| number("max_tokens"));
        let ignores_eos = self.fields.get("ignore_eos") == Some(&Value::Bool(true));
        ExpectedAnswer {
            streamed: self.fields.get("stream") == Some(&Value::Bool(true)),
            max_output_tokens,
            is_exact: ignores_eos && max_output_tokens == number("min_tokens"),
            knows_prompt_tokens: true,
            has_chat_template: self.dialect.has_chat_template(),
        }
    }

    /// The body for one prompt, and the output length of the request where it is its own.
    pub fn body(&self, prompt: &str, output_tokens: Option<NonZeroU32>) -> Bytes {
        let mut fields = self.fields.clone();
        if let Some(tokens) = output_tokens {
            for name in &self.length_fields {
                fields.insert((*name).to_owned(), tokens.get().into());
            }
        }
        self.dialect.set_prompt(&mut fields, prompt);
        Value::Object(fields).to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigSource;
    use crate::dialect::{ChatCompletions, Completions};

    fn config(json: &str) -> Settings {
        Settings::from_parts(ConfigSource::BuiltIn, json, &|_| None).unwrap()
    }

    fn body(config: &Settings, dialect: &'static dyn Dialect, fixed: bool) -> Value {
        let template = PayloadTemplate::new(config, dialect, "tiny", fixed);
        serde_json::from_slice(&template.body("Hi \"you\"", None)).unwrap()
    }

    #[test]
    fn chat_streams_with_usage_by_default() {
        let body = body(&config(r#"{"MAX_NEW_TOKENS": 9}"#), &ChatCompletions, true);
        assert_eq!(body["messages"][0]["content"], "Hi \"you\"");
        assert_eq!(body["stream"], true);
        assert_eq!(body["stream_options"]["include_usage"], true);
        assert_eq!(
            (&body["max_tokens"], &body["min_tokens"]),
            (&json!(9), &json!(9))
        );
        assert_eq!(body["ignore_eos"], true);
    }

    #[test]
    fn the_original_behaviour_sends_no_stream_fields() {
        let body = body(&config(r#"{"STREAM": false}"#), &Completions, false);
        assert_eq!(body["prompt"], "Hi \"you\"");
        assert_eq!(body["stream"], false);
        assert!(body.get("stream_options").is_none() && body.get("ignore_eos").is_none());
    }

    #[test]
    fn the_expected_answer_follows_the_body() {
        let expected = |json: &str, fixed| {
            let template = PayloadTemplate::new(&config(json), &Completions, "tiny", fixed);
            template.expected_answer()
        };
        let fixed = expected(r#"{"MAX_NEW_TOKENS": 9}"#, true);
        assert_eq!((fixed.max_output_tokens, fixed.is_exact), (Some(9), true));
        assert_eq!(
            (fixed.knows_prompt_tokens, fixed.has_chat_template),
            (true, false)
        );
        assert!(!expected("{}", false).is_exact);
        let own = expected(
            r#"{"EXTRA_BODY": {"max_tokens": 4, "min_tokens": 2}}"#,
            true,
        );
        assert_eq!((own.max_output_tokens, own.is_exact), (Some(4), false));
    }

    #[test]
    fn a_request_has_its_own_output_length_unless_extra_body_demands_another() {
        let own = NonZeroU32::new(5);
        let lengths = |json: &str, fixed| {
            let template = PayloadTemplate::new(&config(json), &Completions, "tiny", fixed);
            let body: Value = serde_json::from_slice(&template.body("Hi", own)).unwrap();
            let of = |name: &str| body.get(name).and_then(Value::as_u64);
            (
                [of("max_tokens"), of("min_tokens")],
                template.output_tokens(own),
            )
        };
        assert_eq!(lengths("{}", true), ([Some(5), Some(5)], own));
        assert_eq!(lengths("{}", false), ([Some(5), None], own));
        let demanded = r#"{"EXTRA_BODY": {"max_tokens": 7}}"#;
        assert_eq!(lengths(demanded, true), ([Some(7), Some(5)], None));
        let left_out = r#"{"EXTRA_BODY": {"max_tokens": null, "min_tokens": null}}"#;
        assert_eq!(lengths(left_out, true), ([None, None], None));
    }

    #[test]
    fn extra_body_wins() {
        let config = config(r#"{"EXTRA_BODY": {"temperature": 0, "top_k": 5}}"#);
        let body = body(&config, &ChatCompletions, false);
        assert_eq!(
            (&body["temperature"], &body["top_k"]),
            (&json!(0), &json!(5))
        );
    }

    #[test]
    fn null_in_extra_body_leaves_a_field_out() {
        let config = config(
            r#"{"EXTRA_BODY": {"temperature": null, "stream_options": null, "min_tokens": null,
                "max_tokens": null, "max_completion_tokens": 9, "logit_bias": {"5": null}, "unknown": null}}"#,
        );
        let body = body(&config, &ChatCompletions, true);
        for left_out in [
            "temperature",
            "stream_options",
            "min_tokens",
            "max_tokens",
            "unknown",
        ] {
            assert!(body.get(left_out).is_none(), "{left_out}: {body}");
        }
        assert_eq!(body["max_completion_tokens"], 9);
        assert_eq!(body["logit_bias"], json!({"5": null}), "only whole fields");
        assert_eq!(
            (&body["top_p"], &body["stream"]),
            (&json!(0.9), &json!(true))
        );
    }
}
