//! The change of a capacity: the ratio of the levels that two searches found.

use super::change::{LogRange, between_ranges};
use super::{Figure, FigureChange, NotComparable, PointComparison, Verdict};
use crate::level::Level;
use crate::results::{CapacityKey, CapacityRecord};

/// A side's name, and its searches with one prompt.
#[derive(Clone, Copy)]
pub(super) struct Searches<'a> {
    pub side: &'a str,
    pub records: &'a [CapacityRecord],
}

/// Compares the searches of both sides.
pub(super) fn compare_capacity(
    key: &CapacityKey,
    [before, after]: [Searches<'_>; 2],
    threshold: Option<f64>,
) -> PointComparison {
    let entry = |threshold| FigureChange {
        figure: Figure::Capacity,
        threshold,
        change: change(before.records, after.records),
        adjusted_p: None,
        verdict: Verdict::Inconclusive,
        withheld: None,
        values: Some([before, after].map(Searches::values)),
    };
    let mut doubts = Vec::from_iter([before, after].iter().flat_map(Searches::doubts));
    let is_in_both = |one: &CapacityRecord| after.records.iter().any(|r| r.is_same_run(one));
    if before.records.iter().any(is_in_both) {
        doubts.push("both sides are the same run".to_owned());
    }
    PointComparison {
        point: key.clone().into(),
        runs: (before.records.len(), after.records.len()),
        interleaved: false,
        doubts,
        warnings: [before, after].iter().flat_map(Searches::notes).collect(),
        failed: [0.0; 2],
        has_other_lengths: false,
        figure_changes: threshold.into_iter().map(entry).collect(),
    }
}

impl Searches<'_> {
    /// What each search found.
    fn values(self) -> String {
        let values = self.records.iter().map(|record| record.capacity.range());
        Vec::from_iter(values).join(", ")
    }

    /// Why its capacities are not known, each a line with the side's name.
    fn doubts(&self) -> impl Iterator<Item = String> {
        let why = self.records.iter().filter_map(CapacityRecord::unknown);
        why.map(|why| format!("{}: {why}", self.side))
    }

    fn notes(&self) -> impl Iterator<Item = String> {
        let notes = self.records.iter().flat_map(|record| &record.notes);
        notes.map(|note| format!("{}: {note}", self.side))
    }
}

fn change(
    before: &[CapacityRecord],
    after: &[CapacityRecord],
) -> Result<super::Change, NotComparable> {
    let objectives = before.first().map(|record| &record.objectives);
    let mut all = before.iter().chain(after);
    if !all.all(|record| Some(&record.objectives) == objectives) {
        return Err(NotComparable::OtherSlo);
    }
    Ok(between_ranges(
        &ranges(before)?,
        &ranges(after)?,
        Figure::Capacity.assumed_between_runs(),
    ))
}

/// The interval of each search.
pub(super) fn ranges(records: &[CapacityRecord]) -> Result<Vec<LogRange>, NotComparable> {
    records.iter().map(range).collect()
}

fn range(record: &CapacityRecord) -> Result<LogRange, NotComparable> {
    if let Some(why) = record.unknown() {
        return Err(NotComparable::UnknownCapacity(why));
    }
    let capacity = &record.capacity;
    let (Some(level), Some(upper)) = (capacity.level, capacity.upper) else {
        return Err(NotComparable::NotMeasured);
    };
    // 8 requests in flight: 9 are too many, and the limit is anywhere between.
    let upper = match level {
        Level::Concurrency(_) => upper + 1.0,
        Level::Rate(_) => upper,
    };
    let log_value = level.value().ln();
    // After a contradicted confirmation the level may lie outside of its interval.
    Ok(LogRange {
        log_value,
        below: (log_value - capacity.lower.ln()).max(0.0),
        above: (upper.ln() - log_value).max(0.0),
    })
}

#[cfg(test)]
mod tests;
