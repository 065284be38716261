//! Dividing the records of a name into those of the last run and those of older runs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::error::{BaselineError, at};
use super::{Baseline, BaselineName, Baselines, directories};
use crate::endpoint::Identity;
use crate::level::Level;
use crate::results::last_run::LastRun;
use crate::results::point::RECORDS;
use crate::results::{PointKey, RunRecord, file_name};

/// The records of a name, by run.
pub(super) struct ByRun {
    /// Points of the last run of each bench.
    pub last: Baseline,
    /// Points that the last run of their bench did not measure again.
    pub older: Baseline,
}

/// The fields of a record that identify its point and run.
#[derive(Deserialize)]
struct RecordHead {
    bench: String,
    prompt: String,
    #[serde(flatten)]
    level: Level,
    ended_unix_s: f64,
    #[serde(default)]
    run_id: Option<String>,
    /// Skipped here, as serde keeps fields that it does not know in memory to look for those of the level.
    #[serde(default, rename = "requests")]
    _requests: IgnoredAny,
}

/// The endpoints of a record.
#[derive(Deserialize)]
struct RecordedEndpoints {
    endpoints: Vec<Identity>,
}

/// A record of a bench: its path's point, and its head if it can be read.
struct Entry {
    place: PointKey,
    head: Option<RecordHead>,
}

/// Reads some fields of a record; `None` if it cannot be read.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_reader(BufReader::new(File::open(path).ok()?)).ok()
}

impl Entry {
    /// The point, with the full names if the record can be read.
    fn point(&self) -> PointKey {
        self.head
            .as_ref()
            .map_or(self.place.clone(), |head| PointKey {
                bench: head.bench.clone(),
                prompt: head.prompt.clone(),
                level: head.level,
            })
    }

    fn run_id(&self) -> Option<&str> {
        self.head.as_ref()?.run_id.as_deref()
    }
}

impl Baseline {
    /// The name that its servers' version suggests.
    ///
    /// # Errors
    /// [`BaselineError::NoName`] if they report no version or different ones, and
    /// [`BaselineError::Record`] for a record that cannot be read.
    pub fn offered_name(&self) -> Result<BaselineName, BaselineError> {
        let mut servers = Vec::new();
        for path in self.record_paths() {
            let RecordedEndpoints { endpoints } = match read(&path) {
                Some(recorded) => recorded,
                // Reading it completely gives the error.
                None => RecordedEndpoints {
                    endpoints: RunRecord::read(&path)?.endpoints,
                },
            };
            servers.extend(endpoints);
        }
        Ok(BaselineName::of_servers(&servers)?)
    }
}

impl Baselines {
    /// Divides the records of a name at these points by run.
    pub(super) fn by_run(
        &self,
        name: &BaselineName,
        places: &[PointKey],
    ) -> Result<ByRun, BaselineError> {
        let (mut last, mut older) = (self.empty(name), self.empty(name));
        for bench in self.benches() {
            let path = self.criterion.join(LastRun::path(&bench, name.as_str()));
            let run = at(&path, LastRun::read(&path))?;
            let places = places.iter().filter(|place| place.bench == bench);
            let entries: Vec<Entry> = places
                .map(|place| Entry {
                    head: read(&self.criterion.join(place.record_path(name.as_str()))),
                    place: place.clone(),
                })
                .collect();
            let id = match &run {
                Some(run) => Some(run.run_id.clone()),
                None => newest_run_id(&entries),
            };
            let planned: BTreeSet<PointKey> = run.iter().flat_map(LastRun::planned).collect();
            let mut missing = planned.clone();
            for entry in entries {
                let point = entry.point();
                let is_last = match (&id, &entry.head) {
                    (None, _) => true,
                    // The error is reported when it is read.
                    (Some(_), None) => run.is_none() || plans(&planned, &entry.place),
                    (Some(id), Some(_)) => entry.run_id() == Some(id),
                };
                if is_last {
                    missing.remove(&point);
                    last.points.push(entry.place);
                } else {
                    missing.insert(point);
                    older.points.push(entry.place);
                }
            }
            last.missing.extend(missing);
            last.runs.extend(run);
        }
        Ok(ByRun { last, older })
    }

    /// Directory names of the benches.
    pub(super) fn benches(&self) -> Vec<String> {
        let paths = directories(&self.criterion.join(RECORDS));
        let mut names: Vec<String> = paths
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        names
    }
}

/// The run id of the record that ended last; `None` for a record older than run ids: the records of its run
/// cannot be identified.
fn newest_run_id(entries: &[Entry]) -> Option<String> {
    let heads = entries.iter().filter_map(|entry| entry.head.as_ref());
    let newest = heads.max_by(|a, b| a.ended_unix_s.total_cmp(&b.ended_unix_s))?;
    newest.run_id.clone()
}

/// Whether the point with the directories of `place` is planned.
fn plans(planned: &BTreeSet<PointKey>, place: &PointKey) -> bool {
    planned
        .iter()
        .any(|point| file_name(&point.prompt) == place.prompt && point.level == place.level)
}
