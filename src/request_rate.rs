use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many requests arrive per second in an open loop: a number above 0, or as many as `MAX_IN_FLIGHT` lets through
/// (`max`).
#[derive(Clone, Copy, Debug)]
pub struct RequestRate(f64);

impl RequestRate {
    /// As many as the bound on requests in flight lets through.
    pub const MAX: RequestRate = RequestRate(f64::INFINITY);

    /// The text of [`RequestRate::MAX`].
    pub(crate) const MAX_TEXT: &'static str = "max";

    /// Least and greatest rate (req/s); the client can send more than the greatest of none.
    const RANGE: std::ops::RangeInclusive<f64> = 0.001..=100_000.0;

    /// This many (req/s); `None` outside of 0.001 to 100,000.
    pub fn new(per_second: f64) -> Option<RequestRate> {
        Self::RANGE
            .contains(&per_second)
            .then_some(RequestRate(per_second))
    }

    /// Whether no number bounds it.
    pub fn is_max(self) -> bool {
        self.0.is_infinite()
    }

    /// Requests per second; infinite for [`RequestRate::MAX`].
    pub fn per_second(self) -> f64 {
        self.0
    }
}

impl fmt::Display for RequestRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_max() {
            true => f.pad(Self::MAX_TEXT),
            false => fmt::Display::fmt(&self.0, f),
        }
    }
}

/// A text that is not a valid rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a number of requests per second from 0.001 to 100000, nor \"max\"")]
pub struct InvalidRate;

impl FromStr for RequestRate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<RequestRate, InvalidRate> {
        if text == Self::MAX_TEXT {
            return Ok(RequestRate::MAX);
        }
        let number = text.parse().ok();
        number.and_then(RequestRate::new).ok_or(InvalidRate)
    }
}

impl Ord for RequestRate {
    fn cmp(&self, other: &RequestRate) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for RequestRate {
    fn partial_cmp(&self, other: &RequestRate) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for RequestRate {
    fn eq(&self, other: &RequestRate) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for RequestRate {}

impl Hash for RequestRate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Serialize for RequestRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.is_max() {
            true => serializer.serialize_str(Self::MAX_TEXT),
            false => serializer.serialize_f64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for RequestRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RequestRate, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        let rate = match Written::deserialize(deserializer)? {
            Written::Number(number) => RequestRate::new(number).ok_or(InvalidRate),
            // A number has one form in a record.
            Written::Text(text) if text == Self::MAX_TEXT => Ok(RequestRate::MAX),
            Written::Text(_) => Err(InvalidRate),
        };
        rate.map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for RequestRate {
    fn schema_name() -> Cow<'static, str> {
        "RequestRate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Requests per second, or \"max\".",
            "anyOf": [
                {"type": "number", "minimum": Self::RANGE.start(), "maximum": Self::RANGE.end()},
                {"const": Self::MAX_TEXT},
            ],
        })
    }
}
