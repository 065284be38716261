//! What two sides must have in common, and what a reader must know that they have not.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{PointKey, RunSet};
use crate::results::RunRecord;

/// Two sides that cannot be compared, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incomparable {
    /// A side has no record at all.
    #[error("{side}: no run record")]
    Empty {
        /// Its name.
        side: String,
    },
    /// No point of one is a point of the other.
    #[error(
        "{before} and {after} have no point in common ({before} has {first}, {after} has {second}): measure both with the same bench, prompts and CONCURRENT_LEVELS"
    )]
    NoCommonPoint {
        /// Name of a side.
        before: String,
        /// Name of the other.
        after: String,
        /// A point of the first.
        first: String,
        /// A point of the second.
        second: String,
    },
    /// The same point, but of another kind of server, model or workload.
    #[error("{point}: {what} is {before} before and {after} after: these are two different things")]
    Different {
        /// The point.
        point: String,
        /// What is not the same: the model, or a key of the configuration.
        what: String,
        /// Before.
        before: String,
        /// After.
        after: String,
    },
}

/// Something that is not the same on both sides, which may be why the figures differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What: `server`, `GPUs`, `endpoints`, or a key of the configuration.
    pub what: String,
    /// Before.
    pub before: String,
    /// After.
    pub after: String,
}

/// Keys that make a workload what it is: where one differs, other work was done.
const WORKLOAD: [&str; 12] = [
    "MAX_NEW_TOKENS",
    "LOAD_SHAPE",
    "PREFIX_CACHE",
    "FIXED_OUTPUT_LENGTH",
    "STREAM",
    "TEMPERATURE",
    "TOP_P",
    "EXTRA_BODY",
    "SAFE_CHECK",
    "SAFETY_BACKEND",
    "SAFETY_DELAY_MS",
    "SAFETY_SEVERITY",
];

/// Keys that say where and how long was measured, not what: their difference is not worth a word.
const INCIDENTAL: [&str; 15] = [
    "CONFIG",
    "CA_FILE",
    "CONCURRENT_LEVELS",
    "MODEL_PATH",
    "MODEL_ENDPOINTS",
    "DEPLOYMENTS",
    "TOKENIZER_PATH",
    "INPUT_FILE",
    "PROMPT_KEYS",
    "RANDOM_PROMPT_LENGTH",
    "SEED",
    "METRICS",
    "THRESHOLD_TPS",
    "READY_TIMEOUT",
    "NUM_GPU",
];

/// A server younger than this has not yet compiled, cached and warmed up what it will (s).
const FRESH_S: f64 = 600.0;

/// Refuses records of one point that are of different things.
pub(super) fn check(
    point: &PointKey,
    before: &RunRecord,
    after: &RunRecord,
) -> Result<(), Incomparable> {
    let different = |what: &str, before: String, after: String| match before == after {
        true => Ok(()),
        false => Err(Incomparable::Different {
            point: point.to_string(),
            what: what.to_owned(),
            before,
            after,
        }),
    };
    different("the server", kind(before), kind(after))?;
    different("the model", before.model(), after.model())?;
    let prompt = |record: &RunRecord| format!("{} tokens long", record.prompt_tokens);
    different("the prompt", prompt(before), prompt(after))?;
    for key in WORKLOAD {
        let value = |record: &RunRecord| shown(record.config.get(key));
        different(key, value(before), value(after))?;
    }
    Ok(())
}

type Fact = fn(&RunRecord) -> String;

/// What differs between the sides' servers and configurations, servers first.
pub(super) fn differences(before: &RunSet, after: &RunSet) -> Vec<Difference> {
    let facts: [(&str, Fact); 6] = [
        ("server", RunRecord::server),
        ("simulated preset", |r| {
            r.simulated.clone().unwrap_or_default()
        }),
        ("GPUs", |r| shown(r.config.get("NUM_GPU"))),
        ("endpoints", |r| r.endpoints.len().to_string()),
        ("process age", age),
        ("servemark", |r| r.servemark_version.clone()),
    ];
    let mut differences: Vec<Difference> = facts
        .into_iter()
        .filter_map(|(what, fact)| difference(what, before, after, fact))
        .collect();
    let keys = |set: &RunSet| -> BTreeSet<String> {
        let configs = set.records().filter_map(|record| record.config.as_object());
        configs.flat_map(|config| config.keys().cloned()).collect()
    };
    for key in keys(before).union(&keys(after)) {
        if WORKLOAD.contains(&key.as_str()) || INCIDENTAL.contains(&key.as_str()) {
            continue;
        }
        let value = |record: &RunRecord| shown(record.config.get(key));
        differences.extend(difference(key, before, after, value));
    }
    differences
}

/// A fact that is not the same for all records of both sides.
fn difference(
    what: &str,
    before: &RunSet,
    after: &RunSet,
    fact: impl Fn(&RunRecord) -> String,
) -> Option<Difference> {
    let all = |set: &RunSet| -> String {
        let facts: BTreeSet<String> = set.records().map(&fact).collect();
        Vec::from_iter(facts).join(", ")
    };
    let (before, after) = (all(before), all(after));
    (before != after).then(|| Difference {
        what: what.to_owned(),
        before,
        after,
    })
}

fn kind(record: &RunRecord) -> String {
    match record.simulated {
        Some(_) => "simulated".to_owned(),
        None => "real".to_owned(),
    }
}

fn age(record: &RunRecord) -> String {
    let ages = |e: &crate::endpoint::Identity| {
        let fresh = record.ended_unix_s - e.process_start? < FRESH_S;
        Some(
            if fresh {
                "fresh (under 10 min)"
            } else {
                "warm"
            }
            .to_owned(),
        )
    };
    record.each_endpoint(ages)
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "not set".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}
