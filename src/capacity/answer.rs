use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scale::Scale;
use super::trial::Judgement;
use crate::level::Level;

/// The capacity, as far as a search could tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Capacity {
    /// The largest level that meets every objective, by the fit; none where even the least level does not.
    pub level: Option<Level>,
    /// Lower end of the 95 % interval (requests in flight, or req/s); 0 is below the least level.
    pub lower: f64,
    /// Upper end; none where the greatest level that was tried may be within the objectives.
    pub upper: Option<f64>,
    /// The objective that the next level misses.
    pub bound_by: Option<String>,
    /// The least level above it that is known to fail.
    pub first_failing: Option<Level>,
    /// What fresh requests at the level said.
    pub confirmed: Option<Judgement>,
    /// A level that fails, below one that passes: the deployment is not monotone, and its capacity not one number.
    pub not_monotone: Option<(Level, Level)>,
}

/// Why a capacity is not known well enough to be compared.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum UnknownCapacity {
    /// The search ended early.
    #[error("the search ended early")]
    Partial,
    /// Even the least level fails.
    #[error("no level is within the objectives")]
    NoLevel,
    /// The greatest level that was tried may be within the objectives.
    #[error("greater levels than the search tried may be within the objectives: raise its --most")]
    OpenAbove,
    /// The least level that was tried may fail.
    #[error("even the least level that the search tried may miss an objective: lower its --start")]
    OpenBelow,
    /// Fresh requests contradicted the answer.
    #[error("fresh requests at {0} missed an objective: search with longer trials")]
    NotConfirmed(Level),
    /// A level fails, below one that passes.
    #[error("{0} fails although {1} passes: the deployment is not monotone")]
    NotMonotone(Level, Level),
}

impl Capacity {
    /// Why it is not known well enough to be compared with another, if it is not.
    pub fn unknown(&self) -> Option<UnknownCapacity> {
        let Some(level) = self.level else {
            return Some(UnknownCapacity::NoLevel);
        };
        if let Some((fails, passes)) = self.not_monotone {
            return Some(UnknownCapacity::NotMonotone(fails, passes));
        }
        match () {
            () if self.upper.is_none() => Some(UnknownCapacity::OpenAbove),
            () if self.lower <= 0.0 => Some(UnknownCapacity::OpenBelow),
            () if self.confirmed == Some(Judgement::Fails) => {
                Some(UnknownCapacity::NotConfirmed(level))
            }
            () => None,
        }
    }

    fn scale(&self) -> Scale {
        match self.level.or(self.first_failing) {
            Some(Level::Rate(_)) => Scale::Rate,
            _ => Scale::Concurrency,
        }
    }

    /// What is doubtful about it, each a sentence.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if let (Some(level), Some(confirmed @ (Judgement::Fails | Judgement::CannotTell))) =
            (self.level, self.confirmed)
        {
            doubts.push(match confirmed {
                Judgement::Fails => {
                    format!("fresh requests at {level} missed an objective: measure longer")
                }
                _ => format!(
                    "fresh requests at {level} are too few, or too close to the limit, to tell"
                ),
            });
        }
        if let Some((fails, passes)) = self.not_monotone {
            doubts.push(format!(
                "{fails} fails although {passes} passes: the deployment is not monotone, and one number does not describe it"
            ));
        }
        doubts
    }

    /// What its levels count: `users`, or `req/s`.
    pub fn unit(&self) -> &'static str {
        self.scale().unit()
    }

    /// The level with its interval: `128 users (118 … 136)`.
    pub fn range(&self) -> String {
        match self.level {
            None => "none".to_owned(),
            Some(level) => self.level_and("", level),
        }
    }

    /// The level and its unit; its interval with these words, if it is closed.
    fn level_and(&self, words: &str, level: Level) -> String {
        let scale = self.scale();
        let number = |value: f64| match value > 0.0 {
            true => scale.level(value).value_text(),
            false => "0".to_owned(),
        };
        let (level, unit) = (level.value_text(), scale.unit());
        match self.upper.map(number) {
            None if self.lower <= 0.0 => format!("at least 0 {unit}"),
            None => format!("at least {level} {unit}"),
            Some(upper) => format!("{level} {unit} ({words}{} … {upper})", number(self.lower)),
        }
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(level) = self.level else {
            return match self.first_failing {
                Some(failing) => write!(f, "none: {failing} fails already"),
                None => f.write_str("none: no level is known to pass"),
            };
        };
        f.write_str(&self.level_and("95 %: ", level))?;
        if self.upper.is_none() {
            return Ok(());
        }
        if let Some(bound_by) = &self.bound_by {
            write!(f, ", bound by {bound_by}")?;
        }
        match self.first_failing {
            Some(failing) => write!(f, "; first failing {}", failing.value_text()),
            None => f.write_str("; no level is known to fail"),
        }
    }
}
