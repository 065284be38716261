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

impl Capacity {
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
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = self.scale();
        let number = |value: f64| scale.level(value).value_text();
        let Some(level) = self.level else {
            return write!(f, "none: the least level fails already");
        };
        match self.upper {
            None => return write!(f, "at least {} {}", level.value_text(), scale.unit()),
            Some(upper) => write!(
                f,
                "{} {} (95 %: {} … {})",
                level.value_text(),
                scale.unit(),
                match self.lower > 0.0 {
                    true => number(self.lower),
                    false => "0".to_owned(),
                },
                number(upper)
            )?,
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
