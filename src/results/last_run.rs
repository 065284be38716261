//! What the last run of a bench set out to measure: known from its start, even if it reaches nothing.

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::file_name::file_name;
use super::point::RECORDS;
use super::{PointKey, write_atomically};

/// The last run that writes the records of one name of a bench.
///
/// It is written when the run begins, before any server is booted: a record of the name with another run
/// id is an older run's, and a planned point without a record of this id was not reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    /// The `run_id` of its records.
    pub run_id: String,
    /// When it began (seconds since 1970).
    pub started_unix_s: f64,
    /// Name of the benchmark.
    pub bench: String,
    /// What it set out to measure.
    pub points: Vec<PlannedPoint>,
}

/// A point that a run set out to measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPoint {
    /// Which prompt.
    pub prompt: String,
    /// Requests in flight.
    pub concurrency: usize,
}

/// Directory of these files, beside those of a bench's prompts.
const RUNS: &str = "runs";

impl LastRun {
    /// Where the file of a bench's records of this name lies, relative to Criterion's directory:
    /// `servemark/<bench>/runs/<name>.plan.json`.
    pub fn path(bench: &str, name: &str) -> PathBuf {
        let directory = Path::new(RECORDS).join(file_name(bench)).join(RUNS);
        directory.join(format!("{name}.plan.json"))
    }

    /// Makes it the last run of the records of this name.
    ///
    /// # Errors
    /// The operating system's, naming the file.
    pub fn write(&self, criterion: &Path, name: &str) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(self)?;
        write_atomically(&criterion.join(LastRun::path(&self.bench, name)), &json)
    }

    /// The last run as its file says; `None` where there is no file, as of versions that
    /// did not write it, and of baselines that were saved or imported.
    ///
    /// # Errors
    /// The operating system's, or that the file is damaged.
    pub fn read(path: &Path) -> io::Result<Option<LastRun>> {
        match std::fs::read(path) {
            Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|error| {
                let what = format!("no plan of a run: {error}; measure again");
                io::Error::new(io::ErrorKind::InvalidData, what)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The points that it set out to measure.
    pub fn planned(&self) -> impl Iterator<Item = PointKey> {
        self.points.iter().map(|point| PointKey {
            bench: self.bench.clone(),
            prompt: point.prompt.clone(),
            concurrency: point.concurrency,
        })
    }

    /// When it began.
    pub fn started(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis((self.started_unix_s * 1e3) as i64).unwrap_or_default()
    }
}
