//! What the last run of a bench planned to measure: known from its start, even if it measures nothing.

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::file_name::file_name;
use super::point::RECORDS;
use super::{PointKey, write_atomically};
use crate::level::Level;

/// The last run that writes the records of one name of a bench.
///
/// It is written when the run starts, before any server is booted: a record of this name with another run
/// id belongs to an older run, and a planned point without a record of this id was not measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    /// The `run_id` of its records.
    pub run_id: String,
    /// When it started (seconds since 1970).
    pub started_unix_s: f64,
    /// Name of the benchmark.
    pub bench: String,
    /// The points that it planned to measure.
    pub points: Vec<PlannedPoint>,
}

/// A point that a run planned to measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPoint {
    /// Key of the prompt.
    pub prompt: String,
    /// How hard the servers are loaded.
    #[serde(flatten)]
    pub level: Level,
}

/// Directory of these files, beside those of a bench's prompts.
const RUNS: &str = "runs";

impl LastRun {
    /// Path of the file for a bench's records of this name, relative to Criterion's directory:
    /// `servemark/<bench>/runs/<name>.plan.json`.
    pub fn path(bench: &str, name: &str) -> PathBuf {
        let directory = Path::new(RECORDS).join(file_name(bench)).join(RUNS);
        directory.join(format!("{name}.plan.json"))
    }

    /// Writes it as the last run of the records of this name.
    ///
    /// # Errors
    /// An I/O error that names the file.
    pub fn write(&self, criterion: &Path, name: &str) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(self)?;
        write_atomically(&criterion.join(LastRun::path(&self.bench, name)), &json)
    }

    /// Reads the last run from its file; `None` if there is no file: earlier versions did not write it, and
    /// baselines that were saved or imported do not have it.
    ///
    /// # Errors
    /// An I/O error, or that the file is damaged.
    pub fn read(path: &Path) -> io::Result<Option<LastRun>> {
        match std::fs::read(path) {
            Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|error| {
                let what = format!("not a valid plan of a run: {error}; measure again");
                io::Error::new(io::ErrorKind::InvalidData, what)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The points that it planned to measure.
    pub fn planned(&self) -> impl Iterator<Item = PointKey> {
        self.points.iter().map(|point| PointKey {
            bench: self.bench.clone(),
            prompt: point.prompt.clone(),
            level: point.level,
        })
    }

    /// When it started.
    pub fn started(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis((self.started_unix_s * 1e3) as i64).unwrap_or_default()
    }
}
