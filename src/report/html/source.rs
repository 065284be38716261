//! The runs of a report: the latest run, and the baselines to compare it with.

use std::path::PathBuf;

use super::workers;
use crate::results::baseline::{Baseline, BaselineError};
use crate::results::{BaselineName, Baselines, CapacityRecord, RecordError, RunRecord};
use crate::verdict::{RunSet, Thresholds, by_version, compare};

/// The runs that a report is of.
#[derive(Debug)]
pub struct ReportSource {
    pub(super) latest: RunSet,
    /// Older records of points that the last run of their bench did not measure.
    pub(super) older: RunSet,
    /// The baseline that the latest run is compared with.
    pub(super) baseline: Option<RunSet>,
    /// All comparable sides in the order of their versions, including the latest run.
    pub(super) versions: Vec<RunSet>,
    /// Records that were left out, with the reasons.
    pub(super) notes: Vec<String>,
}

/// Most sides of a trend: the ones that ended last.
const MOST_VERSIONS: usize = 8;

impl ReportSource {
    /// Reads the latest run (or another run, named by `latest`), and the baselines that it can be compared with.
    /// It is compared with `baseline`, by default with the one that ended last.
    ///
    /// A record that cannot be read is left out, with a note in the report.
    ///
    /// # Errors
    /// [`BaselineError::Missing`] for `latest`, or a requested `baseline`.
    pub fn read(
        results: &Baselines,
        latest: &BaselineName,
        baseline: Option<&BaselineName>,
    ) -> Result<ReportSource, BaselineError> {
        let mut notes = Vec::new();
        let (latest, older) = results.with_older(latest)?;
        let (latest, mut older) = (side(&latest, &mut notes), side(&older, &mut notes));
        older.name = "older run".to_owned();
        let requested = baseline.map(|name| results.find(name)).transpose()?;
        let mut others: Vec<RunSet> = results
            .all()?
            .iter()
            .filter(|other| other.name.as_str() != latest.name && !other.name.is_latest())
            .map(|other| side(other, &mut notes))
            .filter(|other| is_comparable(other, &latest))
            .collect();
        others.sort_by(|a, b| ended(b).total_cmp(&ended(a)));
        others.truncate(MOST_VERSIONS - 1);
        let baseline = match requested {
            Some(requested) => Some(side(&requested, &mut notes)),
            None => others.first().cloned(),
        };
        notes.dedup();
        let versions = by_version(others.into_iter().rev().chain([latest.clone()]).collect());
        Ok(ReportSource {
            latest,
            older,
            baseline,
            versions,
            notes,
        })
    }
}

/// The records of a baseline that can be read.
fn side(baseline: &Baseline, notes: &mut Vec<String>) -> RunSet {
    let paths: Vec<PathBuf> = baseline.point_paths().collect();
    let records = workers::each(&paths, |path| RunRecord::read(path));
    let records = readable(records, notes);
    let capacities = baseline.capacity_paths();
    let capacities = readable(capacities.map(|path| CapacityRecord::read(&path)), notes);
    RunSet::new(baseline.name.as_str(), records).with_capacities(capacities)
}

/// The records that can be read; a note about each other.
fn readable<R>(
    records: impl IntoIterator<Item = Result<R, RecordError>>,
    notes: &mut Vec<String>,
) -> Vec<R> {
    let mut known = Vec::new();
    for record in records {
        match record {
            Ok(record) => known.push(record),
            Err(error) => notes.push(format!("left out: {error}")),
        }
    }
    known
}

/// Whether two sides can be compared, and are not copies of each other.
fn is_comparable(other: &RunSet, latest: &RunSet) -> bool {
    let copies = other
        .records()
        .any(|one| latest.records().any(|record| record.is_same_run(one)));
    !copies && compare(other, latest, &Thresholds::of([])).is_ok()
}

fn ended(side: &RunSet) -> f64 {
    side.setups()
        .map(|setup| setup.ended_unix_s)
        .fold(0.0, f64::max)
}
