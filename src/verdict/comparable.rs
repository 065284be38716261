//! What two sides must have in common to be compared, and what differs between them.

use std::collections::BTreeSet;

use super::{ResultKey, RunSet};
use crate::config::{KeyKind, keys};
use crate::dialect::MOST_TEMPLATE_TOKENS;
use crate::prompt::RequestLengths;
use crate::results::Setup;

/// Two sides cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IncomparableSides {
    /// A side has no record.
    #[error("{side}: no run record")]
    Empty {
        /// Its name.
        side: String,
    },
    /// A side has only results of other figures.
    #[error(
        "{side} has no result of these figures: capacity is the figure of a search for the capacity, and the others are those of points"
    )]
    OtherFigures {
        /// Its name.
        side: String,
    },
    /// The sides share no point.
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
    /// The servers, models or workloads of a point differ.
    #[error("{point}: {what} is {before} before and {after} after: these cannot be compared")]
    Different {
        /// The point.
        point: String,
        /// What differs: the model, or a key of the configuration.
        what: String,
        /// Before.
        before: String,
        /// After.
        after: String,
    },
}

/// A difference between the sides, which may be why the figures differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What: `server`, `GPUs`, `endpoints`, or a key of the configuration.
    pub what: String,
    /// Before.
    pub before: String,
    /// After.
    pub after: String,
}

/// Age below which a server may still be compiling, caching and warming up (s).
const FRESH_S: f64 = 600.0;

/// The key of the output length of requests that have none of their own.
const OF_ALL: &str = "MAX_NEW_TOKENS";

/// Rejects measurements of a point or a capacity with different servers, models or workloads.
pub(super) fn check(
    result: &ResultKey,
    before: &Setup<'_>,
    after: &Setup<'_>,
) -> Result<(), IncomparableSides> {
    let different = |what: &str, before: String, after: String| match before == after {
        true => Ok(()),
        false => Err(IncomparableSides::Different {
            point: result.to_string(),
            what: what.to_owned(),
            before,
            after,
        }),
    };
    different("the server", kind(before), kind(after))?;
    different("the model", before.model(), after.model())?;
    let definition = |setup: &Setup<'_>| match setup.workload {
        Some(definition) => definition.to_string(),
        None => "not recorded".to_owned(),
    };
    different(
        "the workload's definition",
        definition(before),
        definition(after),
    )?;
    different("the limit of the lengths", limit(before), limit(after))?;
    let prompt = |setup: &Setup<'_>| format!("{} tokens long", setup.lengths.prompt);
    different("the prompt", prompt(before), prompt(after))?;
    let output = |setup: &Setup<'_>| match setup.lengths.output {
        Some(tokens) => format!("{tokens} tokens long"),
        None => OF_ALL.to_owned(),
    };
    different("the requested output", output(before), output(after))?;
    let has_own_output = before.lengths.output.is_some();
    for key in keys::of_workload().filter(|key| !(has_own_output && *key == OF_ALL)) {
        different(key, before.setting(key), after.setting(key))?;
    }
    Ok(())
}

/// The servers' `max_model_len` where it leaves out requests of a workload of mixed lengths.
fn limit(setup: &Setup<'_>) -> String {
    let template = match setup.api {
        Some("chat_completions") => MOST_TEMPLATE_TOKENS,
        _ => 0,
    };
    let RequestLengths { prompt, output } = setup.lengths;
    let output = output.map_or(0, |output| output.most);
    let longest = u64::from(prompt.most) + u64::from(output) + u64::from(template);
    let limits = setup
        .endpoints
        .iter()
        .filter_map(|endpoint| endpoint.max_model_len);
    let leaves_out = |limit: &u64| setup.lengths.is_mixed() && *limit < longest;
    match limits.min().filter(leaves_out) {
        Some(limit) => format!("max_model_len {limit}"),
        None => "none".to_owned(),
    }
}

type Fact = fn(&Setup<'_>) -> String;

/// What differs between the sides' servers and configurations, servers first.
pub(super) fn differences(before: &RunSet, after: &RunSet) -> Vec<Difference> {
    let facts: [(&str, Fact); 6] = [
        ("server", |r| r.server()),
        ("simulated preset", |r| {
            r.simulated.unwrap_or_default().to_owned()
        }),
        ("GPUs", |r| r.setting("NUM_GPU")),
        ("endpoints", |r| r.endpoints.len().to_string()),
        ("process age", age),
        ("servemark", |r| r.servemark_version.to_owned()),
    ];
    let mut differences: Vec<Difference> = facts
        .into_iter()
        .filter_map(|(what, fact)| difference(what, before, after, fact))
        .collect();
    let keys = |set: &RunSet| -> BTreeSet<String> {
        let configs = set.setups().filter_map(|setup| setup.config.as_object());
        configs.flat_map(|config| config.keys().cloned()).collect()
    };
    for key in keys(before).union(&keys(after)) {
        if keys::kind(key) != KeyKind::Reported {
            continue;
        }
        differences.extend(difference(key, before, after, |setup| setup.setting(key)));
    }
    differences
}

/// A property that differs between the sides.
fn difference(
    what: &str,
    before: &RunSet,
    after: &RunSet,
    fact: impl Fn(&Setup<'_>) -> String,
) -> Option<Difference> {
    let (before, after) = (before.all(&fact), after.all(&fact));
    (before != after).then(|| Difference {
        what: what.to_owned(),
        before,
        after,
    })
}

fn kind(setup: &Setup<'_>) -> String {
    match setup.simulated {
        Some(_) => "simulated".to_owned(),
        None => "real".to_owned(),
    }
}

fn age(setup: &Setup<'_>) -> String {
    let ages = |e: &crate::endpoint::Identity| {
        let fresh = setup.ended_unix_s - e.process_start? < FRESH_S;
        Some(
            if fresh {
                "fresh (under 10 min)"
            } else {
                "warm"
            }
            .to_owned(),
        )
    };
    setup.each_endpoint(ages)
}
