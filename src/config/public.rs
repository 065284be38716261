//! Values of settings as run records hold them, without secrets.

use std::path::PathBuf;

use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Map, Value, json};

use super::choices::{ArrivalProcess, FixedOutput, PrefixCache, Ramp};
use super::value::is_open_header;
use crate::redact::HIDDEN;

pub(super) fn headers(headers: &HeaderMap) -> Value {
    let value = |name: &HeaderName| {
        let open = is_open_header(name).then(|| headers.get(name)?.to_str().ok());
        open.flatten().unwrap_or(HIDDEN)
    };
    let headers = headers
        .keys()
        .map(|name| (name.to_string(), value(name).into()));
    Value::Object(Map::from_iter(headers))
}

pub(super) fn path(path: &Option<PathBuf>) -> Value {
    json!(path.as_ref().map(|path| path.to_string_lossy()))
}

pub(super) fn arrivals(process: ArrivalProcess) -> Value {
    match process {
        ArrivalProcess::Poisson => "poisson".into(),
        ArrivalProcess::Constant => "constant".into(),
        ArrivalProcess::Gamma(shape) => json!({"gamma": shape}),
    }
}

pub(super) fn ramp(ramp: Option<Ramp>) -> Value {
    let value = |ramp: Ramp| json!({ramp.strategy.id(): ramp.duration.as_secs_f64()});
    ramp.map_or(Value::Null, value)
}

pub(super) fn prefix_cache(policy: PrefixCache) -> Value {
    match policy {
        PrefixCache::Bust => "bust".into(),
        PrefixCache::Allow => "allow".into(),
        PrefixCache::Shared(share) => share.into(),
    }
}

pub(super) fn fixed_output(fixed: FixedOutput) -> Value {
    match fixed {
        FixedOutput::Auto => "auto".into(),
        FixedOutput::On => true.into(),
        FixedOutput::Off => false.into(),
    }
}
