use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How hard the servers are loaded: the last part of a benchmark id (`c=32`), a directory's name, a row of a table.
///
/// In records it is one key with its value (`"concurrency": 32`). Levels of one kind are ordered by their value.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// So many requests are in flight at any time.
    Concurrency(NonZeroUsize),
}

impl Level {
    /// Requests in flight; `None` for a level that does not fix them.
    pub fn concurrency(self) -> Option<NonZeroUsize> {
        match self {
            Level::Concurrency(requests) => Some(requests),
        }
    }

    /// What its value counts, as the title of a column or an axis.
    pub fn quantity(self) -> &'static str {
        match self {
            Level::Concurrency(_) => "concurrency",
        }
    }

    /// Its value, as a position on an axis.
    pub fn value(self) -> f64 {
        match self {
            Level::Concurrency(requests) => requests.get() as f64,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Level::Concurrency(requests) => write!(f, "c={requests}"),
        }
    }
}

/// A text that is not a valid level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid level, such as c=32")]
pub struct InvalidLevel(String);

impl FromStr for Level {
    type Err = InvalidLevel;

    fn from_str(text: &str) -> Result<Level, InvalidLevel> {
        let requests = text.strip_prefix("c=").and_then(|n| n.parse().ok());
        requests
            .map(Level::Concurrency)
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
        let level = Level::from(NonZeroUsize::new(32).unwrap());
        assert_eq!(level.to_string(), "c=32");
        assert_eq!("c=32".parse(), Ok(level));
        let json = serde_json::to_string(&level).unwrap();
        assert_eq!(json, r#"{"concurrency":32}"#);
        assert_eq!(serde_json::from_str::<Level>(&json).unwrap(), level);
    }

    #[test]
    fn only_the_one_spelling_is_valid() {
        for text in ["c=0", "c=", "c=032", "c=+3", "32", "c=-1", "c=1.5", ""] {
            assert!(text.parse::<Level>().is_err(), "{text}");
        }
    }
}
