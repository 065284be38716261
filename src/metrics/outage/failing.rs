//! Spells in which every request at an endpoint failed, and which chance does not bring about.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::period::{Outage, OutageKind};
use super::run_trace::RunTrace;
use crate::client::{FailureCause, Outcome, RequestRecord};

/// A spell has at least so many requests.
const LEAST: usize = 3;

/// Where requests fail by chance, as often as those outside the spell do, fewer spells than this are expected that
/// are as long.
const EXPECTED_BY_CHANCE: f64 = 0.01;

/// How a request ended at an endpoint.
struct RequestEnd {
    at_ns: u64,
    /// `None` for an answer.
    failure: Option<FailureCause>,
}

pub(super) fn spells<R: Borrow<RequestRecord>>(
    requests: impl Iterator<Item = R>,
    trace: &RunTrace<'_>,
) -> Vec<Outage> {
    let mut ends: Vec<Vec<RequestEnd>> = trace.urls.iter().map(|_| Vec::new()).collect();
    for request in requests {
        let request = request.borrow();
        // A request that was not sent reached no endpoint.
        if let Some(ends) = ends.get_mut(request.endpoint) {
            ends.push(RequestEnd {
                at_ns: request.end_ns,
                failure: failure(request),
            });
        }
    }
    let each = ends.into_iter().zip(trace.urls).enumerate();
    let of_each = each.flat_map(|(endpoint, (mut ends, url))| {
        ends.sort_by_key(|end| end.at_ns);
        let spells = notable(&ends).into_iter();
        let outages = spells.map(|spell| Outage {
            run: 0,
            endpoint,
            url: url.clone(),
            from_s: trace.seconds(ends[spell.start].at_ns),
            to_s: trace.seconds(ends[spell.end - 1].at_ns),
            // A spell always ends with an answer.
            recovered: spell.end < ends.len(),
            kind: OutageKind::Failed {
                requests: spell.len(),
                causes: causes(&ends[spell]),
            },
        });
        Vec::from_iter(outages)
    });
    of_each.collect()
}

/// Why the endpoint failed the request, if it did.
fn failure(request: &RequestRecord) -> Option<FailureCause> {
    match &request.outcome {
        Outcome::Failed(failure) if failure.cause != FailureCause::SafetyCheck => {
            Some(failure.cause)
        }
        // A safety check has an answer to check.
        _ => None,
    }
}

/// The spells that chance does not explain, as places in `ends`.
fn notable(ends: &[RequestEnd]) -> Vec<Range<usize>> {
    let mut spells = Vec::new();
    let mut start = 0;
    for spell in ends.chunk_by(|a, b| a.failure.is_some() == b.failure.is_some()) {
        let place = start..start + spell.len();
        start = place.end;
        if spell[0].failure.is_some() {
            spells.push(place);
        }
    }
    let failed: usize = spells.iter().map(ExactSizeIterator::len).sum();
    spells.retain(|spell| {
        let (outside, length) = (ends.len() - spell.len(), spell.len());
        // Add one of each kind: a share of zero would claim certainty.
        let share = (failed - length + 1) as f64 / (outside + 2) as f64;
        let expected = ends.len() as f64 * share.powf(length as f64);
        length >= LEAST && (outside == 0 || expected < EXPECTED_BY_CHANCE)
    });
    spells
}

/// The causes of a spell, most frequent first.
fn causes(spell: &[RequestEnd]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<FailureCause, usize> = BTreeMap::new();
    for cause in spell.iter().filter_map(|end| end.failure) {
        *counts.entry(cause).or_default() += 1;
    }
    let counts = counts.into_iter();
    let mut counts = Vec::from_iter(counts.map(|(cause, count)| (cause.to_string(), count)));
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}
