//! Parses one JSON value to one setting.

use std::collections::HashSet;
use std::hash::Hash;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use serde_json::{Map, Value};

use super::choices::{ArrivalProcess, FixedOutput, Metric, PrefixCache, Ramp, RampStrategy};
use super::endpoint_url::EndpointUrl;
use super::names::nearest;
use crate::request_rate::RequestRate;

/// An invalid value: what was found, fit to be shown.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) found: String,
}

impl Fault {
    /// The value itself.
    pub(super) fn found(value: &Value) -> Fault {
        Fault::new(shown(value))
    }

    /// The value, and why it is invalid.
    pub(super) fn because(value: &Value, why: impl std::fmt::Display) -> Fault {
        Fault::new(format!("{} ({why})", shown(value)))
    }

    /// A description of what was found.
    pub(super) fn new(found: impl Into<String>) -> Fault {
        Fault {
            found: found.into(),
        }
    }
}

pub(super) type Parsed<T> = Result<T, Fault>;

/// JSON, truncated for a message.
pub(super) fn shown(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The value's type, for values that must not be shown.
pub(super) fn type_name(value: &Value) -> &'static str {
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

/// The fields of an object. A value of another type is not part of the fault: it may be a secret.
pub(super) fn object(value: &Value) -> Parsed<&Map<String, Value>> {
    let object = value.as_object();
    object.ok_or_else(|| Fault::new(type_name(value)))
}

pub(super) fn whole(value: &Value, least: u64, most: u64) -> Parsed<u64> {
    let number = value.as_u64().filter(|n| (least..=most).contains(n));
    number.ok_or_else(|| not_a_number(value))
}

pub(super) fn count_u32(value: &Value, most: u32) -> Parsed<NonZeroU32> {
    let number = u32::try_from(whole(value, 1, most.into())?).ok();
    number
        .and_then(NonZeroU32::new)
        .ok_or_else(|| Fault::found(value))
}

pub(super) fn count(value: &Value, most: u32) -> Parsed<NonZeroUsize> {
    let number = count_u32(value, most)?;
    NonZeroUsize::try_from(number).map_err(|_| Fault::found(value))
}

pub(super) fn number(value: &Value, is_valid: impl Fn(f64) -> bool) -> Parsed<f64> {
    let number = value.as_f64().filter(|n| n.is_finite() && is_valid(*n));
    number.ok_or_else(|| not_a_number(value))
}

fn not_a_number(value: &Value) -> Fault {
    match value.as_str().map(|text| text.trim().parse::<f64>()) {
        Some(Ok(_)) => Fault::because(value, "numbers are written without quotes"),
        _ => Fault::found(value),
    }
}

/// Parses seconds, above 0 and at most a week.
pub(super) fn seconds(value: &Value) -> Parsed<Duration> {
    const WEEK: f64 = 604_800.0;
    let seconds = number(value, |seconds| seconds > 0.0 && seconds <= WEEK)?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(Fault::found(value)),
    }
}

/// Parses a list that is not empty and has no duplicates.
pub(super) fn distinct<T: Clone + Eq + Hash>(
    value: &Value,
    item: impl Fn(&Value) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    let list = value.as_array().ok_or_else(|| Fault::found(value))?;
    if list.is_empty() {
        return Err(Fault::new("an empty list"));
    }
    let mut seen = HashSet::new();
    list.iter()
        .map(|entry| {
            let parsed = item(entry)
                .map_err(|fault| Fault::new(format!("{} in {}", fault.found, shown(value))))?;
            if seen.insert(parsed.clone()) {
                Ok(parsed)
            } else {
                Err(Fault::new(format!(
                    "{} twice in {}",
                    shown(entry),
                    shown(value)
                )))
            }
        })
        .collect()
}

/// Parses prompt keys. They look like numbers, so a number means its digits.
pub(super) fn prompt_keys(value: &Value) -> Parsed<Vec<String>> {
    let one = |entry: &Value| match entry {
        Value::Number(number) if number.is_u64() => Ok(number.to_string()),
        other => text(other),
    };
    distinct(&as_list(value), one)
}

/// A string stands for a list of one.
fn as_list(value: &Value) -> Value {
    match value {
        Value::String(_) => Value::Array(vec![value.clone()]),
        list => list.clone(),
    }
}

pub(super) fn metrics(value: &Value) -> Parsed<Vec<Metric>> {
    let one = |entry: &Value| {
        let name = text(entry)?;
        let ids = Metric::ALL.map(Metric::id);
        let known = Metric::ALL.into_iter().find(|metric| metric.id() == name);
        known.ok_or_else(|| match nearest(&name, ids) {
            Some(id) => Fault::because(entry, format_args!("did you mean {id:?}?")),
            None => Fault::found(entry),
        })
    };
    distinct(&as_list(value), one)
}

pub(super) fn endpoints(value: &Value) -> Parsed<Vec<EndpointUrl>> {
    let entries: Vec<&str> = match value {
        Value::String(one) => one.split(',').collect(),
        Value::Array(list) => list
            .iter()
            .map(|entry| {
                let fault = || Fault::new(format!("{} in the list", type_name(entry)));
                entry.as_str().ok_or_else(fault)
            })
            .collect::<Parsed<_>>()?,
        other => return Err(Fault::new(type_name(other))),
    };
    entries
        .into_iter()
        .map(|entry| {
            EndpointUrl::parse(entry).map_err(|error| {
                let address = without_secrets(entry);
                Fault::new(format!("{} ({error})", shown(&Value::String(address))))
            })
        })
        .collect()
}

/// An address without credentials and query, for messages.
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

/// Whether the value of a header can be shown, as it does not identify the sender.
pub(super) fn is_open_header(name: &HeaderName) -> bool {
    [CONTENT_TYPE, ACCEPT, USER_AGENT].contains(name)
}

/// Parses headers. Values are never part of a fault: they may be secrets.
pub(super) fn headers(value: &Value) -> Parsed<HeaderMap> {
    let object = object(value)?;
    let mut headers = HeaderMap::with_capacity(object.len());
    for (name, value) in object {
        let wrong = |what: &str| {
            Fault::new(format!(
                "{what} (header {})",
                shown(&Value::String(name.clone()))
            ))
        };
        let header = HeaderName::try_from(name.as_str())
            .map_err(|_| wrong("a name that is not a valid HTTP header name"))?;
        let text = value.as_str().ok_or_else(|| wrong(type_name(value)))?;
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| wrong("a value with characters that are invalid in an HTTP header"))?;
        value.set_sensitive(!is_open_header(&header));
        if headers.insert(header, value).is_some() {
            return Err(wrong("the same header twice, in different case"));
        }
    }
    Ok(headers)
}

/// Fields of a request's body that users may not set, as the measurement depends on them.
const RESERVED_FIELDS: [&str; 4] = ["stream", "messages", "prompt", "n"];

pub(super) fn extra_body(value: &Value) -> Parsed<Map<String, Value>> {
    let object = object(value)?;
    let is_reserved = |name: &&String| RESERVED_FIELDS.contains(&name.as_str());
    match object.keys().find(is_reserved) {
        Some(field) => Err(Fault::new(format!("the field {field:?}"))),
        None => Ok(object.clone()),
    }
}

/// The one of `all` that the value names.
pub(super) fn one_of<T: Copy>(value: &Value, all: &[T], id: fn(T) -> &'static str) -> Parsed<T> {
    let named = all.iter().find(|one| value.as_str() == Some(id(**one)));
    named.copied().ok_or_else(|| Fault::found(value))
}

pub(super) fn request_rate(value: &Value) -> Parsed<RequestRate> {
    if value.as_str() == Some(RequestRate::MAX_TEXT) {
        return Ok(RequestRate::MAX);
    }
    let rate = value.as_f64().and_then(RequestRate::new);
    rate.ok_or_else(|| not_a_number(value))
}

pub(super) fn arrivals(value: &Value) -> Parsed<ArrivalProcess> {
    let shape = |object: &Map<String, Value>| {
        let shape = object
            .get("gamma")
            .filter(|_| object.len() == 1)?
            .as_f64()?;
        (0.01..=1_000.0).contains(&shape).then_some(shape)
    };
    let process = match value {
        Value::String(name) if name == "poisson" => Some(ArrivalProcess::Poisson),
        Value::String(name) if name == "constant" => Some(ArrivalProcess::Constant),
        Value::Object(object) => shape(object).map(ArrivalProcess::Gamma),
        _ => None,
    };
    process.ok_or_else(|| Fault::found(value))
}

pub(super) fn ramp(value: &Value) -> Parsed<Ramp> {
    let of = |strategy: RampStrategy| {
        let object = value.as_object().filter(|object| object.len() == 1)?;
        let seconds = object.get(strategy.id())?.as_f64()?;
        let is_sound = seconds > 0.0 && seconds <= 86_400.0;
        is_sound.then(|| Ramp {
            strategy,
            duration: Duration::from_secs_f64(seconds),
        })
    };
    let ramp = RampStrategy::ALL.into_iter().find_map(of);
    ramp.ok_or_else(|| Fault::found(value))
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

/// Parses the least and the greatest delay in milliseconds.
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
