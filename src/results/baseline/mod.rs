//! Baselines: the records of points and capacities of one name, with Criterion's own files of that name.
//!
//! `cargo bench -- --save-baseline NAME` writes both. They are saved, renamed, deleted, exported and imported
//! together, so that `cargo bench -- --baseline NAME` and `servemark compare NAME …` always use the same run.

mod archive;
mod change;
mod edit;
mod error;
mod last_runs;
mod lookup;
mod name;
mod saved_run;
mod stop;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::de::IgnoredAny;

pub use archive::{Manifest, Unpacked};
pub use error::{ArchiveError, BaselineError};
pub use name::{BaselineName, NameError, NoName};
pub(crate) use saved_run::{RunToSave, SavedRun};

use super::last_run::LastRun;
use super::point::RECORDS;
use super::result_key::CAPACITY;
use super::{
    CapacityKey, CapacityRecord, PointKey, RecordError, ResultKey, RunRecord, criterion_directory,
    file_name,
};

/// The baselines beneath one of Criterion's output directories.
#[derive(Clone, Debug)]
pub struct Baselines {
    criterion: PathBuf,
}

/// A baseline, or the latest run.
#[derive(Clone, Debug)]
pub struct Baseline {
    criterion: PathBuf,
    /// Its name.
    pub name: BaselineName,
    /// The points and capacities with a record of the last run of their bench. Their names are those of directories:
    /// the records have the full names.
    pub results: Vec<ResultKey>,
    /// Points that the last run of their bench did not measure: it ended before, or they have only a record
    /// of an older run.
    pub missing: Vec<PointKey>,
    /// The last run of each bench, if known.
    pub runs: Vec<LastRun>,
}

/// The four files that Criterion writes for a run of one benchmark.
const CRITERION_FILES: [&str; 4] = [
    "benchmark.json",
    "estimates.json",
    "sample.json",
    "tukey.json",
];

impl Baselines {
    /// The baselines of this project, in the directory that `cargo bench` writes to. Removes files that dead
    /// processes left there.
    pub fn here() -> Baselines {
        let baselines = Baselines::beneath(criterion_directory());
        baselines.clear_left_overs();
        baselines
    }

    /// The baselines beneath a Criterion output directory.
    pub fn beneath(criterion: impl Into<PathBuf>) -> Baselines {
        Baselines {
            criterion: criterion.into(),
        }
    }

    /// Every point and capacity that has a directory, and the directory.
    fn results(&self) -> Vec<(ResultKey, PathBuf)> {
        let mut results = Vec::new();
        for bench in directories(&self.criterion.join(RECORDS)) {
            for prompt in directories(&bench) {
                for directory in directories(&prompt) {
                    let key = result(&bench, &prompt, &directory);
                    results.extend(key.map(|key| (key, directory)));
                }
            }
        }
        results.sort();
        results
    }
}

impl Baseline {
    /// The records of its points, in their order.
    ///
    /// # Errors
    /// [`RecordError`] for the first that cannot be read.
    pub fn records(&self) -> Result<Vec<RunRecord>, RecordError> {
        self.point_paths()
            .map(|path| RunRecord::read(&path))
            .collect()
    }

    /// The records of its capacities, in their order.
    ///
    /// # Errors
    /// [`RecordError`] for the first that cannot be read.
    pub fn capacities(&self) -> Result<Vec<CapacityRecord>, RecordError> {
        self.capacity_paths()
            .map(|path| CapacityRecord::read(&path))
            .collect()
    }

    /// Paths of the records of its points.
    pub fn point_paths(&self) -> impl Iterator<Item = PathBuf> {
        self.paths_of(|key| key.point().is_some())
    }

    /// Paths of the records of its capacities.
    pub fn capacity_paths(&self) -> impl Iterator<Item = PathBuf> {
        self.paths_of(|key| key.point().is_none())
    }

    fn paths_of(&self, is_wanted: fn(&ResultKey) -> bool) -> impl Iterator<Item = PathBuf> {
        let wanted = self.results.iter().filter(move |key| is_wanted(key));
        wanted.map(|key| self.criterion.join(key.record_path(self.name.as_str())))
    }

    /// Criterion's existing directories of it.
    pub fn criterion_paths(&self) -> impl Iterator<Item = PathBuf> {
        let name = self.name.as_str();
        let results = self.results.iter();
        results
            .flat_map(move |key| key.criterion_directories(None, name))
            .map(|path| self.criterion.join(path))
            .filter(|path| path.is_dir())
    }

    /// Paths of the files with the plans of its last runs.
    fn run_paths(&self) -> impl Iterator<Item = PathBuf> {
        let benches = Baselines::beneath(&self.criterion).benches().into_iter();
        benches.map(|bench| {
            let path = LastRun::path(&bench, self.name.as_str());
            self.criterion.join(path)
        })
    }

    /// Whether Criterion wrote a file before the last run of its point's bench started: for a metric that the
    /// run did not measure. Only the latest run has such files.
    fn is_left_over(&self, key: &ResultKey, file: &Path) -> bool {
        self.name.is_latest() && self.is_older(key, file)
    }

    /// Whether a file was written before the last run of its point's bench started.
    fn is_older(&self, key: &ResultKey, file: &Path) -> bool {
        let mut runs = self.runs.iter();
        let run = runs.find(|run| file_name(&run.bench) == key.bench());
        let started = run.map(|run| run.started_unix_s);
        let modified = fs::metadata(file).and_then(|metadata| metadata.modified());
        let modified = modified.map(|at| at.duration_since(UNIX_EPOCH).unwrap_or_default());
        // Some file systems store whole seconds.
        started.is_some_and(|started| modified.is_ok_and(|at| at.as_secs_f64() + 2.0 < started))
    }

    /// All files that [`Baselines::delete`] removes.
    fn own_files(&self) -> BTreeSet<PathBuf> {
        let mut files = self.measured_files();
        files.extend(self.run_paths().filter(|path| path.is_file()));
        files
    }

    /// Its records and Criterion's files.
    fn measured_files(&self) -> BTreeSet<PathBuf> {
        let of_criterion = self.criterion_paths().flat_map(|path| files(&path));
        let records = self.paths_of(|_| true).filter(|path| path.is_file());
        of_criterion.chain(records).collect()
    }

    /// Like `files_as`, without Criterion's files of a metric if one of them is incomplete.
    fn complete_files_as(&self, name: &BaselineName) -> Vec<(PathBuf, PathBuf)> {
        let records = self.criterion.join(RECORDS);
        let files = self.files_as(name).into_iter();
        let (mut files, of_criterion): (Vec<_>, Vec<_>) =
            files.partition(|(from, _)| from.starts_with(&records));
        // Records come last.
        files.splice(0..0, complete(of_criterion));
        files
    }

    /// Its files, and the path of each under another name. Records come last: a baseline exists once its
    /// records do.
    fn files_as(&self, name: &BaselineName) -> Vec<(PathBuf, PathBuf)> {
        let pairs = self.results.iter().flat_map(|key| {
            let paths = files_of(key, self.name.as_str());
            let paths = paths.into_iter().zip(files_of(key, name.as_str()));
            paths
                .map(|(from, to)| (self.criterion.join(from), self.criterion.join(to)))
                .filter(|(from, _)| from.is_file() && !self.is_left_over(key, from))
        });
        let mut pairs: Vec<(PathBuf, PathBuf)> = pairs.collect();
        pairs.sort_by_key(|(from, _)| from.starts_with(self.criterion.join(RECORDS)));
        pairs
    }
}

/// Leaves out Criterion's files of a metric if one of them is incomplete, as after Criterion's process was killed:
/// Criterion would read them as a baseline.
fn complete(mut of_criterion: Vec<(PathBuf, PathBuf)>) -> Vec<(PathBuf, PathBuf)> {
    let is_incomplete = |file: &Path| {
        let json = fs::read(file).ok();
        let read = json.map(|json| serde_json::from_slice::<IgnoredAny>(&json));
        !matches!(read, Some(Ok(_)))
    };
    let incomplete: BTreeSet<PathBuf> = of_criterion
        .iter()
        .filter(|(from, _)| is_incomplete(from))
        .filter_map(|(from, _)| from.parent().map(Path::to_owned))
        .collect();
    of_criterion.retain(|(from, _)| {
        from.parent()
            .is_none_or(|parent| !incomplete.contains(parent))
    });
    of_criterion
}

/// All files that a result of a baseline can have, relative to Criterion's directory, the record first.
fn files_of(key: &ResultKey, name: &str) -> Vec<PathBuf> {
    let of_criterion = key
        .criterion_directories(None, name)
        .flat_map(|directory| CRITERION_FILES.map(|file| directory.join(file)));
    std::iter::once(key.record_path(name))
        .chain(of_criterion)
        .collect()
}

/// The point or capacity that a directory is of, if it is of one.
fn result(bench: &Path, prompt: &Path, directory: &Path) -> Option<ResultKey> {
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let (bench, prompt) = (name(bench)?, name(prompt)?);
    Some(match &*name(directory)? {
        CAPACITY => CapacityKey { bench, prompt }.into(),
        level => PointKey {
            bench,
            prompt,
            level: level.parse().ok()?,
        }
        .into(),
    })
}

/// The baseline whose record a file is, if it is one.
fn record_name(path: &Path) -> Option<BaselineName> {
    let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
    BaselineName::or_latest(name).ok()
}

fn directories(parent: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let visible = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| !name.starts_with('.'))
    };
    entries(parent).filter(|path| path.is_dir()).filter(visible)
}

fn files(parent: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    entries(parent).filter(|path| path.is_file())
}

fn entries(parent: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

#[cfg(test)]
mod interruption_tests;
#[cfg(test)]
mod tests;
