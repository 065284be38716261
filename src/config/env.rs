//! Overrides from the environment: `SERVEMARK_<KEY>`.

use serde_json::Value;

use super::error::{Problem, ValueOrigin};
use super::key::{Key, Syntax};
use super::keys;
use super::names::{PREFIX, RESERVED, nearest};

/// The JSON values that a variable's text can mean, the likeliest first. `None` if it is empty, which means the key's
/// default.
pub(super) fn readings(key: &Key, text: &str) -> Option<Vec<Value>> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let json = serde_json::from_str::<Value>(text).ok();
    let plain = Value::String(text.to_owned());
    Some(match (key.syntax, json) {
        (_, Some(Value::Null)) => return None,
        (_, Some(array @ Value::Array(_))) => vec![array],
        (Syntax::Numbers, _) => vec![pieces(text, |piece| {
            serde_json::from_str(piece).unwrap_or_else(|_| Value::String(piece.to_owned()))
        })],
        (Syntax::Strings, Some(Value::String(one))) => vec![Value::Array(vec![Value::String(one)])],
        (Syntax::Strings, _) => vec![pieces(text, |piece| Value::String(piece.to_owned()))],
        (Syntax::Single, Some(json)) => vec![json, plain],
        (Syntax::Single, None) => vec![plain],
    })
}

fn pieces(text: &str, value: impl Fn(&str) -> Value) -> Value {
    Value::Array(text.split(',').map(|piece| value(piece.trim())).collect())
}

/// Reports variables that look like a misspelt key. Other variables that start with `SERVEMARK_` are ignored: they may
/// belong to another program.
pub(super) fn misspelt<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Problem> {
    names
        .into_iter()
        .filter(|name| !RESERVED.contains(name))
        .filter_map(|name| {
            let stem = name.strip_prefix(PREFIX)?;
            if keys::names().any(|name| name == stem) {
                return None;
            }
            let nearest = nearest(stem, keys::names())?;
            Some(Problem {
                origin: ValueOrigin::Variable(name.to_owned()),
                key: stem.to_owned(),
                found: "a variable that overrides no key".to_owned(),
                expected: format!("the name {}{nearest}", PREFIX),
                hint: "Rename the variable or unset it.".to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_read_as_json_then_as_a_list_or_a_string() {
        let cases: [(&Key, &str, Option<Vec<Value>>); 12] = [
            (&keys::TOP_P, "0.5", Some(vec![json!(0.5), json!("0.5")])),
            (&keys::TOP_P, "  ", None),
            (&keys::NUM_GPU, "null", None),
            (&keys::MODEL_PATH, "org/m", Some(vec![json!("org/m")])),
            (&keys::MODEL_PATH, "7", Some(vec![json!(7), json!("7")])),
            (&keys::CONCURRENT_LEVELS, "1, 8", Some(vec![json!([1, 8])])),
            (&keys::CONCURRENT_LEVELS, "8", Some(vec![json!([8])])),
            (&keys::CONCURRENT_LEVELS, "[1,8]", Some(vec![json!([1, 8])])),
            (&keys::CONCURRENT_LEVELS, "1,x", Some(vec![json!([1, "x"])])),
            (&keys::PROMPT_KEYS, "25,1k", Some(vec![json!(["25", "1k"])])),
            (&keys::PROMPT_KEYS, "\"25\"", Some(vec![json!(["25"])])),
            (
                &keys::MODEL_ENDPOINTS,
                "http://a,http://b",
                Some(vec![json!(["http://a", "http://b"])]),
            ),
        ];
        for (key, text, expected) in cases {
            assert_eq!(readings(key, text), expected, "{} {text:?}", key.name);
        }
    }

    #[test]
    fn only_variables_close_to_a_key_are_problems() {
        let names = [
            "SERVEMARK_MODEL_ENDPOINT",
            "SERVEMARK_TOP_P",
            "SERVEMARK_CONFIG",
            "SERVEMARK_REAL_VLLM",
            "SERVEMARK_AB",
            "SERVEMARK_RANKS",
            "SERVEMARK_RANKS_DIR",
            "SERVEMARK_UNRELATED",
            "MODEL_ENDPOINT",
        ];
        let problems = misspelt(names);
        assert_eq!(problems.len(), 1, "{problems:?}");
        let text = problems[0].to_string();
        assert!(text.contains("SERVEMARK_MODEL_ENDPOINT:"), "{text}");
        assert!(text.contains("SERVEMARK_MODEL_ENDPOINTS"), "{text}");
    }
}
