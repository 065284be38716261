//! Which records of a name are its last run's, and which an older one's.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::{Baseline, BaselineError, BaselineName, Baselines, at, directories};
use crate::results::last_run::LastRun;
use crate::results::point::RECORDS;
use crate::results::{PointKey, file_name};

/// The records of a name, by run.
pub(super) struct ByRun {
    /// Those of the last run of each bench.
    pub last: Baseline,
    /// Those that the last run of their bench has not measured again.
    pub older: Baseline,
}

/// What a record says of itself, without its measurements.
#[derive(Deserialize)]
struct Head {
    bench: String,
    prompt: String,
    concurrency: usize,
    ended_unix_s: f64,
    #[serde(default)]
    run_id: Option<String>,
}

/// A record of a bench: where it lies, and what it says; nothing where it cannot be read.
struct Entry {
    place: PointKey,
    head: Option<Head>,
}

impl Head {
    fn read(path: &Path) -> Option<Head> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}

impl Entry {
    /// The point, by its full name where the record says it.
    fn point(&self) -> PointKey {
        self.head
            .as_ref()
            .map_or(self.place.clone(), |head| PointKey {
                bench: head.bench.clone(),
                prompt: head.prompt.clone(),
                concurrency: head.concurrency,
            })
    }

    fn run_id(&self) -> Option<&str> {
        self.head.as_ref()?.run_id.as_deref()
    }
}

impl Baselines {
    /// Divides the records of a name, which lie at these places.
    pub(super) fn by_run(
        &self,
        name: &BaselineName,
        places: &[PointKey],
    ) -> Result<ByRun, BaselineError> {
        let empty = || Baseline {
            criterion: self.criterion.clone(),
            name: name.clone(),
            points: Vec::new(),
            missing: Vec::new(),
            runs: Vec::new(),
        };
        let (mut last, mut older) = (empty(), empty());
        for bench in self.benches() {
            let path = self.criterion.join(LastRun::path(&bench, name.as_str()));
            let run = at(&path, LastRun::read(&path))?;
            let places = places.iter().filter(|place| place.bench == bench);
            let entries: Vec<Entry> = places
                .map(|place| Entry {
                    head: Head::read(&self.criterion.join(place.record_path(name.as_str()))),
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
                    // What is wrong with it is said when it is read.
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

    /// The directories of benches.
    pub(super) fn benches(&self) -> Vec<String> {
        let paths = directories(&self.criterion.join(RECORDS));
        let mut names: Vec<String> = paths
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        names
    }
}

/// The run of the record that ended last; `None` for one of before runs had ids: then nobody knows which
/// of the others are its.
fn newest_run_id(entries: &[Entry]) -> Option<String> {
    let heads = entries.iter().filter_map(|entry| entry.head.as_ref());
    let newest = heads.max_by(|a, b| a.ended_unix_s.total_cmp(&b.ended_unix_s))?;
    newest.run_id.clone()
}

/// Whether the point whose files lie at `place` is planned.
fn plans(planned: &BTreeSet<PointKey>, place: &PointKey) -> bool {
    planned.iter().any(|point| {
        file_name(&point.prompt) == place.prompt && point.concurrency == place.concurrency
    })
}
