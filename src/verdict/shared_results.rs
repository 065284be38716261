//! Which points and capacities two sides are compared in.

use super::comparable::check;
use super::{IncomparableSides, PointKey, ResultKey, RunSet, Thresholds};

/// Rejects different servers, models or workloads behind a result.
pub(super) fn check_all(
    result: &ResultKey,
    before: &RunSet,
    after: &RunSet,
) -> Result<(), IncomparableSides> {
    let setups = Vec::from_iter([before, after].iter().flat_map(|set| set.setups_of(result)));
    let mut others = setups.iter();
    let first = others.next();
    let check = |setup| first.map_or(Ok(()), |first| check(result, first, setup));
    others.try_for_each(check)
}

/// The results of `set` that are compared in these figures with those of `other`.
///
/// A search chooses its levels by what it has seen, so they are no points to compare: its result is the capacity.
fn results(set: &RunSet, other: &RunSet, thresholds: &Thresholds) -> Vec<ResultKey> {
    let is_trial = |point: &&PointKey| {
        let search = point.capacity_key();
        let mut sides = [set, other].into_iter();
        sides.any(|side| side.capacities().contains_key(&search))
    };
    let points = set.points().keys().filter(|point| !is_trial(point));
    let points = points.cloned().map(ResultKey::from);
    let capacities = set.capacities().keys().cloned().map(ResultKey::from);
    let all = capacities.chain(points);
    all.filter(|result| thresholds.include(result)).collect()
}

/// The results of both sides, in their order.
pub(super) fn common(
    before: &RunSet,
    after: &RunSet,
    thresholds: &Thresholds,
) -> Result<Vec<ResultKey>, IncomparableSides> {
    let of_side = |set: &RunSet, other: &RunSet| {
        let side = set.name.clone();
        let results = results(set, other, thresholds);
        match (results.is_empty(), set.setups().next()) {
            (false, _) => Ok(results),
            (true, None) => Err(IncomparableSides::Empty { side }),
            (true, Some(_)) => Err(IncomparableSides::OtherFigures { side }),
        }
    };
    let (first, second) = (of_side(before, after)?, of_side(after, before)?);
    let both = first.iter().filter(|result| second.contains(result));
    let mut both = Vec::from_iter(both.cloned());
    both.sort();
    match both.is_empty() {
        false => Ok(both),
        true => Err(IncomparableSides::NoCommonPoint {
            before: before.name.clone(),
            after: after.name.clone(),
            first: first[0].to_string(),
            second: second[0].to_string(),
        }),
    }
}

/// Results of `set` that `other` lacks, with the name of `other`.
pub(super) fn missing(
    set: &RunSet,
    other: &RunSet,
    thresholds: &Thresholds,
) -> impl Iterator<Item = (ResultKey, String)> {
    let results = results(set, other, thresholds).into_iter();
    let missing = results.filter(|result| !other.has(result));
    missing.map(|result| (result, other.name.clone()))
}
