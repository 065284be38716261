//! From one JSON value to one setting.

use std::collections::HashSet;
use std::hash::Hash;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use serde_json::{Map, Value};

use super::{Balancing, EndpointUrl, FixedOutput, LoadShape, Metric, PrefixCache, keys};

/// What is wrong with a value: what was found, fit to be shown, and a hint if there is more to say
/// than what is expected.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) found: String,
}

impl Fault {
    pub(super) fn found(value: &Value) -> Fault {
        Fault {
            found: shown(value),
        }
    }

    pub(super) fn because(value: &Value, why: impl std::fmt::Display) -> Fault {
        Fault {
            found: format!("{} ({why})", shown(value)),
        }
    }

    pub(super) fn saying(found: impl Into<String>) -> Fault {
        Fault {
            found: found.into(),
        }
    }
}

pub(super) type Parsed<T> = Result<T, Fault>;

/// JSON cut to a length fit for a message.
pub(super) fn shown(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The value's type in words, for values that must not be shown.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a true/false value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

pub(super) fn flag(value: &Value) -> Parsed<bool> {
    value.as_bool().ok_or_else(|| Fault::found(value))
}

pub(super) fn text(value: &Value) -> Parsed<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() && !text.contains('\0') => Ok(text.clone()),
        other => Err(Fault::found(other)),
    }
}

pub(super) fn whole(value: &Value, least: u64, most: u64) -> Parsed<u64> {
    match value {
        Value::String(text) if text.trim().parse::<f64>().is_ok() => {
            Err(Fault::because(value, "numbers are written without quotes"))
        }
        other => other
            .as_u64()
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| Fault::found(other)),
    }
}

pub(super) fn count_u32(value: &Value, most: u32) -> Parsed<NonZeroU32> {
    let number = whole(value, 1, most.into())?;
    u32::try_from(number)
        .ok()
        .and_then(NonZeroU32::new)
        .ok_or_else(|| Fault::found(value))
}

pub(super) fn count(value: &Value, most: u32) -> Parsed<NonZeroUsize> {
    let number = whole(value, 1, most.into())?;
    usize::try_from(number)
        .ok()
        .and_then(NonZeroUsize::new)
        .ok_or_else(|| Fault::found(value))
}

pub(super) fn number(value: &Value, right: impl Fn(f64) -> bool) -> Parsed<f64> {
    match value {
        Value::String(text) if text.trim().parse::<f64>().is_ok() => {
            Err(Fault::because(value, "numbers are written without quotes"))
        }
        other => other
            .as_f64()
            .filter(|number| number.is_finite() && right(*number))
            .ok_or_else(|| Fault::found(other)),
    }
}

/// Seconds above 0 and at most a week.
pub(super) fn seconds(value: &Value) -> Parsed<Duration> {
    const WEEK: f64 = 604_800.0;
    let seconds = number(value, |seconds| seconds > 0.0 && seconds <= WEEK)?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(Fault::found(value)),
    }
}

/// A list that is not empty and holds nothing twice.
pub(super) fn distinct<T: Clone + Eq + Hash>(
    value: &Value,
    item: impl Fn(&Value) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    let list = value.as_array().ok_or_else(|| Fault::found(value))?;
    if list.is_empty() {
        return Err(Fault::saying("an empty list"));
    }
    let mut seen = HashSet::new();
    list.iter()
        .map(|entry| {
            let parsed = item(entry)
                .map_err(|fault| Fault::saying(format!("{} in {}", fault.found, shown(value))))?;
            if seen.insert(parsed.clone()) {
                Ok(parsed)
            } else {
                Err(Fault::saying(format!(
                    "{} twice in {}",
                    shown(entry),
                    shown(value)
                )))
            }
        })
        .collect()
}

/// Prompt keys look like numbers, so a number is taken for its digits.
pub(super) fn prompt_keys(value: &Value) -> Parsed<Vec<String>> {
    let one = |entry: &Value| match entry {
        Value::Number(number) if number.is_u64() => Ok(number.to_string()),
        other => text(other),
    };
    match value {
        Value::String(_) => distinct(&Value::Array(vec![value.clone()]), one),
        list => distinct(list, one),
    }
}

pub(super) fn metrics(value: &Value) -> Parsed<Vec<Metric>> {
    let one = |entry: &Value| {
        let name = text(entry)?;
        let ids = Metric::ALL.map(Metric::id);
        let known = Metric::ALL.into_iter().find(|metric| metric.id() == name);
        known.ok_or_else(|| match keys::nearest(&name, ids) {
            Some(id) => Fault::because(entry, format_args!("did you mean {id:?}?")),
            None => Fault::found(entry),
        })
    };
    match value {
        Value::String(_) => distinct(&Value::Array(vec![value.clone()]), one),
        list => distinct(list, one),
    }
}

pub(super) fn endpoints(value: &Value) -> Parsed<Vec<EndpointUrl>> {
    let entries: Vec<&str> = match value {
        Value::String(one) => one.split(',').collect(),
        Value::Array(list) => list
            .iter()
            .map(|entry| {
                let fault = || Fault::saying(format!("{} in the list", kind(entry)));
                entry.as_str().ok_or_else(fault)
            })
            .collect::<Parsed<_>>()?,
        other => return Err(Fault::saying(kind(other))),
    };
    entries
        .into_iter()
        .map(|entry| {
            EndpointUrl::parse(entry).map_err(|error| {
                let address = without_secrets(entry);
                Fault::saying(format!("{} ({error})", shown(&Value::String(address))))
            })
        })
        .collect()
}

/// An address fit to be shown: neither what stands before an `@` nor a query.
pub(super) fn without_secrets(address: &str) -> String {
    let (open, query) = match address.split_once('?') {
        Some((open, _)) => (open, "?…"),
        None => (address, ""),
    };
    match (open.split_once("://"), open.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}{query}"),
        (None, Some((_, host))) => format!("…@{host}{query}"),
        (_, None) => format!("{open}{query}"),
    }
}

/// Headers whose values can be shown: they tell nothing about who sends them.
pub(super) fn is_open_header(name: &HeaderName) -> bool {
    [CONTENT_TYPE, ACCEPT, USER_AGENT].contains(name)
}

/// Values are never part of a fault: they may be secrets.
pub(super) fn headers(value: &Value) -> Parsed<HeaderMap> {
    let object = value
        .as_object()
        .ok_or_else(|| Fault::saying(kind(value)))?;
    let mut headers = HeaderMap::with_capacity(object.len());
    for (name, value) in object {
        let wrong = |what: &str| {
            Fault::saying(format!(
                "{what} (header {})",
                shown(&Value::String(name.clone()))
            ))
        };
        let header = HeaderName::try_from(name.as_str())
            .map_err(|_| wrong("a name that is no HTTP header name"))?;
        let text = value.as_str().ok_or_else(|| wrong(kind(value)))?;
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| wrong("a value with characters that no HTTP header can carry"))?;
        value.set_sensitive(!is_open_header(&header));
        if headers.insert(header, value).is_some() {
            return Err(wrong("the same header twice, in different spelling"));
        }
    }
    Ok(headers)
}

/// Fields of a request's body that decide what is measured, so that no user may set them.
const OUR_FIELDS: [&str; 4] = ["stream", "messages", "prompt", "n"];

pub(super) fn extra_body(value: &Value) -> Parsed<Map<String, Value>> {
    let object = value
        .as_object()
        .ok_or_else(|| Fault::saying(kind(value)))?;
    match object
        .keys()
        .find(|name| OUR_FIELDS.contains(&name.as_str()))
    {
        Some(field) => Err(Fault::saying(format!("the field {field:?}"))),
        None => Ok(object.clone()),
    }
}

pub(super) fn load_shape(value: &Value) -> Parsed<LoadShape> {
    LoadShape::ALL
        .into_iter()
        .find(|shape| value.as_str() == Some(shape.id()))
        .ok_or_else(|| Fault::found(value))
}

pub(super) fn balancing(value: &Value) -> Parsed<Balancing> {
    Balancing::ALL
        .into_iter()
        .find(|policy| value.as_str() == Some(policy.id()))
        .ok_or_else(|| Fault::found(value))
}

pub(super) fn prefix_cache(value: &Value) -> Parsed<PrefixCache> {
    match value.as_str() {
        Some("bust") => Ok(PrefixCache::Bust),
        Some("allow") => Ok(PrefixCache::Allow),
        _ => number(value, |share| (0.0..=1.0).contains(&share)).map(PrefixCache::Shared),
    }
}

pub(super) fn fixed_output(value: &Value) -> Parsed<FixedOutput> {
    match value {
        Value::Bool(true) => Ok(FixedOutput::On),
        Value::Bool(false) => Ok(FixedOutput::Off),
        Value::String(text) if text == "auto" => Ok(FixedOutput::Auto),
        other => Err(Fault::found(other)),
    }
}

/// Least and greatest delay in milliseconds.
pub(super) fn delay_ms(value: &Value) -> Parsed<(f64, f64)> {
    const MOST: f64 = 600_000.0;
    let bound = |entry| number(entry, |ms| (0.0..=MOST).contains(&ms)).ok();
    match value.as_array().map(Vec::as_slice) {
        Some([least, most]) => match (bound(least), bound(most)) {
            (Some(least), Some(most)) if least <= most => Ok((least, most)),
            _ => Err(Fault::found(value)),
        },
        _ => Err(Fault::found(value)),
    }
}
