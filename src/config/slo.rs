use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::value::{self, Fault, Parsed};
use crate::ids::ids;

/// Service-level objectives: `SLO`. A request that is within all limits counts for goodput; a deployment meets an
/// objective if as many of its requests are within the limit as the percentile says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    /// Limit of the time to the first token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft: Option<Limit>,
    /// Limit of the time per output token after the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpot: Option<Limit>,
    /// Limit of the longest gap between two content events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub itl: Option<Limit>,
    /// Limit of the end-to-end latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e2el: Option<Limit>,
    /// The largest share of failed requests (0 to 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<f64>,
}

/// A limit of a latency, and how many of the requests must be within it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// The limit (ms).
    pub ms: f64,
    /// The percentile of the latency that must be within it.
    pub percentile: Percentile,
}

/// A percentile of latencies that servemark reports, and that an objective can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Percentile {
    /// The median.
    P50,
    /// The 90th percentile.
    P90,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
    /// The 99.9th percentile.
    P99_9,
}

// The highest first.
ids!(Percentile:
    P99_9 = "P99.9",
    P99 = "P99",
    P95 = "P95",
    P90 = "P90",
    P50 = "P50",
);

impl Percentile {
    /// The percentile as a number from 0 to 100.
    pub fn percent(self) -> f64 {
        match self {
            Percentile::P50 => 50.0,
            Percentile::P90 => 90.0,
            Percentile::P95 => 95.0,
            Percentile::P99 => 99.0,
            Percentile::P99_9 => 99.9,
        }
    }

    /// Its name in `SLO` (`p99.9`).
    fn key(self) -> String {
        self.id().to_lowercase()
    }
}

impl Slo {
    /// Whether no latency is limited, so that there is no goodput.
    pub fn is_empty(&self) -> bool {
        self.latencies().iter().all(|(_, limit)| limit.is_none())
    }

    /// The latencies by their names, with their limits.
    pub fn latencies(&self) -> [(&'static str, Option<Limit>); 4] {
        [
            ("ttft", self.ttft),
            ("tpot", self.tpot),
            ("itl", self.itl),
            ("e2el", self.e2el),
        ]
    }
}

impl Limit {
    /// A limit (ms) of P99, which a plain number means.
    pub const fn of_p99(ms: f64) -> Limit {
        Limit {
            ms,
            percentile: Percentile::P99,
        }
    }

    /// A number above 0, or an object of one percentile and such a number; `None` for anything else.
    fn of(value: &Value) -> Option<Limit> {
        let ms = |value: &Value| value.as_f64().filter(|ms| *ms > 0.0);
        let Some(object) = value.as_object() else {
            return ms(value).map(Limit::of_p99);
        };
        let (name, limit) = object.iter().next().filter(|_| object.len() == 1)?;
        let mut all = Percentile::ALL.into_iter();
        Some(Limit {
            ms: ms(limit)?,
            percentile: all.find(|percentile| percentile.key() == *name)?,
        })
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ≤ {} ms", self.percentile.id(), self.ms)
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.percentile {
            Percentile::P99 => serializer.serialize_f64(self.ms),
            other => serializer.collect_map([(other.key(), self.ms)]),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Limit, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Limit::of(&value).ok_or_else(|| serde::de::Error::custom("not a limit"))
    }
}

pub(super) fn read(value: &Value) -> Parsed<Slo> {
    let limits = value.as_object().ok_or_else(|| Fault::found(value))?;
    let mut slo = Slo::default();
    for (name, limit) in limits {
        let place = match name.as_str() {
            "ttft" => &mut slo.ttft,
            "tpot" => &mut slo.tpot,
            "itl" => &mut slo.itl,
            "e2el" => &mut slo.e2el,
            "failed" => {
                slo.failed = Some(value::number(limit, |share| (0.0..=1.0).contains(&share))?);
                continue;
            }
            _ => {
                return Err(Fault::because(value, format!("{name:?} is not a latency")));
            }
        };
        *place = Some(Limit::of(limit).ok_or_else(|| Fault::found(limit))?);
    }
    Ok(slo)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_is_of_p99_or_names_its_percentile_and_is_written_as_it_is_read() {
        let value =
            json!({"ttft": {"p95": 500.0}, "tpot": 50.0, "e2el": {"p99.9": 1e4}, "failed": 0.01});
        let slo = read(&value).expect("valid");
        assert_eq!(slo.tpot, Some(Limit::of_p99(50.0)));
        assert_eq!(slo.ttft.map(|limit| limit.percentile.percent()), Some(95.0));
        assert_eq!(serde_json::to_value(slo).expect("JSON"), value);
        assert_eq!(serde_json::from_value::<Slo>(value).expect("an SLO"), slo);
        assert!(!slo.is_empty());
        let only_failed = read(&json!({"failed": 0.5})).expect("valid");
        assert!(only_failed.is_empty(), "goodput needs a latency");
    }

    #[test]
    fn other_limits_are_invalid() {
        for invalid in [
            json!({"ttft": {"p98": 5}}),
            json!({"ttft": {"p95": 5, "p99": 9}}),
            json!({"ttft": {}}),
            json!({"ttft": -1}),
            json!({"failed": 1.5}),
            json!({"rps": 1}),
        ] {
            assert!(read(&invalid).is_err(), "{invalid}");
        }
    }
}
