//! The change of a capacity: the ratio of the levels that two searches found.

use super::caveats::{Caveats, OUTPUT};
use super::change::{LogRange, between_ranges};
use super::{Difference, Figure, FigureChange, NotComparable, PointComparison, RunSet, Verdict};
use crate::level::Level;
use crate::metrics::Lengths;
use crate::results::{CapacityKey, CapacityRecord};

/// A side's name, and its searches with one prompt.
#[derive(Clone, Copy)]
pub(super) struct Searches<'a> {
    side: &'a str,
    records: &'a [CapacityRecord],
}

/// Compares the searches of both sides; also returns by how much their answers differ in length.
pub(super) fn compare_capacity(
    key: &CapacityKey,
    [before, after]: [Searches<'_>; 2],
    threshold: Option<f64>,
) -> (PointComparison, Vec<Difference>) {
    let entry = |threshold| FigureChange {
        figure: Figure::Capacity,
        threshold,
        change: change(before.records, after.records),
        adjusted_p: None,
        verdict: Verdict::Inconclusive,
        withheld: None,
        values: Some([before, after].map(Searches::values)),
    };
    let mut caveats = Caveats {
        doubts: [before, after].iter().flat_map(Searches::doubts).collect(),
        warnings: [before, after].iter().flat_map(Searches::notes).collect(),
        ..Caveats::default()
    };
    caveats.length(OUTPUT, [before, after].map(Searches::answers));
    let is_in_both = |one: &CapacityRecord| after.records.iter().any(|r| r.is_same_run(one));
    if before.records.iter().any(is_in_both) {
        caveats
            .doubts
            .push("both sides are the same run".to_owned());
    }
    let comparison = PointComparison {
        point: key.clone().into(),
        runs: (before.records.len(), after.records.len()),
        interleaved: false,
        failed: [0.0; 2],
        has_other_lengths: caveats.has_other_lengths,
        doubts: caveats.doubts,
        warnings: caveats.warnings,
        figure_changes: threshold.into_iter().map(entry).collect(),
    };
    (comparison, caveats.lengths)
}

impl<'a> Searches<'a> {
    /// The searches of one side.
    pub fn of(set: &'a RunSet, key: &CapacityKey) -> Searches<'a> {
        Searches {
            side: &set.name,
            records: set.capacities().get(key).map_or(&[], Vec::as_slice),
        }
    }

    /// What each search found.
    fn values(self) -> String {
        let values = self.records.iter().map(|record| record.capacity.range());
        Vec::from_iter(values).join(", ")
    }

    /// Lengths of all answers.
    fn answers(self) -> Lengths {
        let answers = self.records.iter().map(|record| record.output_tokens);
        answers.fold(Lengths::default(), Lengths::with)
    }

    /// Why its capacities are not known, or may be those of the client, each a line with the side's name.
    fn doubts(&self) -> impl Iterator<Item = String> {
        let why = self.records.iter().filter_map(CapacityRecord::unknown);
        let why = why.map(|why| why.to_string());
        let bound = self
            .records
            .iter()
            .flat_map(CapacityRecord::decided_by_client);
        let bound = bound.map(|level| format!("client-bound at {level}"));
        why.chain(bound).map(|why| format!("{}: {why}", self.side))
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
