use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::request_rate::RequestRate;

/// How hard the servers are loaded: the last part of a benchmark id (`c=32`, `rate=8`), a directory's name, a row of a
/// table.
///
/// In records it is one key with its value (`"concurrency": 32`, `"rate": 8.0`). Levels of one kind are ordered by their value.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// So many requests are in flight at any time.
    Concurrency(NonZeroUsize),
    /// So many requests arrive per second, whether or not earlier ones have ended (an open loop).
    Rate(RequestRate),
}

impl Level {
    /// Requests in flight; `None` for a level that does not fix them.
    pub fn concurrency(self) -> Option<NonZeroUsize> {
        match self {
            Level::Concurrency(requests) => Some(requests),
            Level::Rate(_) => None,
        }
    }

    /// The value alone, as a cell of a table.
    pub fn value_text(self) -> String {
        match self {
            Level::Concurrency(requests) => requests.to_string(),
            Level::Rate(rate) => rate.to_string(),
        }
    }

    /// What its value counts, as the title of a column or an axis.
    pub fn quantity(self) -> &'static str {
        match self {
            Level::Concurrency(_) => "concurrency",
            Level::Rate(_) => "request rate",
        }
    }

    /// Its value, as a position on an axis.
    pub fn value(self) -> f64 {
        match self {
            Level::Concurrency(requests) => requests.get() as f64,
            Level::Rate(rate) => rate.per_second(),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Level::Concurrency(requests) => write!(f, "c={requests}"),
            Level::Rate(rate) => write!(f, "rate={rate}"),
        }
    }
}

/// A text that is not a valid level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid level, such as c=32 or rate=8")]
pub struct InvalidLevel(String);

impl FromStr for Level {
    type Err = InvalidLevel;

    fn from_str(text: &str) -> Result<Level, InvalidLevel> {
        let level = match text.split_once('=') {
            Some(("c", requests)) => requests.parse().ok().map(Level::Concurrency),
            Some(("rate", rate)) => rate.parse().ok().map(Level::Rate),
            _ => None,
        };
        level
            .filter(|level| level.to_string() == text)
            .ok_or_else(|| InvalidLevel(text.to_owned()))
    }
}

impl From<NonZeroUsize> for Level {
    fn from(concurrency: NonZeroUsize) -> Level {
        Level::Concurrency(concurrency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_read_back_from_its_name_and_from_a_record() {
        let concurrency = Level::from(NonZeroUsize::new(32).unwrap());
        let rate = |text: &str| Level::Rate(text.parse().unwrap());
        let cases = [
            (concurrency, "c=32", r#"{"concurrency":32}"#),
            (rate("8"), "rate=8", r#"{"rate":8.0}"#),
            (rate("0.25"), "rate=0.25", r#"{"rate":0.25}"#),
            (rate("max"), "rate=max", r#"{"rate":"max"}"#),
        ];
        for (level, name, json) in cases {
            assert_eq!(level.to_string(), name);
            assert_eq!(name.parse(), Ok(level));
            assert_eq!(serde_json::to_string(&level).unwrap(), json);
            assert_eq!(serde_json::from_str::<Level>(json).unwrap(), level);
        }
        assert!(rate("2") < rate("10") && rate("10") < rate("max"));
    }

    #[test]
    fn only_the_one_spelling_is_valid() {
        let concurrencies = ["c=0", "c=", "c=032", "c=+3", "32", "c=-1", "c=1.5", ""];
        let rates = [
            "rate=0", "rate=8.0", "rate=-1", "rate=NaN", "rate=inf", "rate=1e3", "rate=",
        ];
        for text in concurrencies.into_iter().chain(rates) {
            assert!(text.parse::<Level>().is_err(), "{text}");
        }
    }
}
