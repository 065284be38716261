use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::search::Search;
use super::trial::{Count, Judgement};
use crate::level::Level;

/// A level that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialRecord {
    /// The level.
    #[serde(flatten)]
    pub level: Level,
    /// Completed requests per second (req/s).
    pub rps: f64,
    /// Whether arrivals outran completions.
    pub saturated: bool,
    /// For each objective: requests, and those that missed it.
    pub counts: Vec<Count>,
    /// The worst of all objectives.
    pub judgement: Judgement,
}

impl TrialRecord {
    /// All trials of a search.
    pub fn all(search: &Search) -> Vec<TrialRecord> {
        let trials = search.trials().iter();
        let trials = trials.map(|trial| TrialRecord {
            level: trial.level,
            rps: trial.rps,
            saturated: trial.is_saturated,
            counts: trial.counts.clone(),
            judgement: trial.judge(search.objectives()),
        });
        trials.collect()
    }
}
