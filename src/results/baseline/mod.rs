//! Baselines: the run records of one name, with Criterion's own files of that name.
//!
//! `cargo bench -- --save-baseline NAME` writes both; here they are kept, renamed, deleted and carried
//! in one file from machine to machine, together, so that `cargo bench -- --baseline NAME` and
//! `servemark compare NAME …` always speak of the same run.

mod archive;
mod last_runs;
mod lookup;
mod name;
mod replacement;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

pub use archive::{ArchiveError, Manifest, Unpacked};
pub use name::{BaselineName, NameError, NoName};

use super::last_run::LastRun;
use super::point::RECORDS;
use super::{PointKey, RecordError, RunRecord, criterion_directory, file_name};

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
    /// The points that it has a record of, by the last run of their bench. Their names are those of
    /// directories: [`RunRecord`]s have the full ones.
    pub points: Vec<PointKey>,
    /// Points that the last run of their bench has not measured: it ended before, or only an older run's
    /// record of them is there.
    pub missing: Vec<PointKey>,
    /// The last run of each bench, where it is known.
    pub runs: Vec<LastRun>,
}

/// What cannot be done to a baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// There is none of the name.
    #[error("there is no baseline {name} in {directory}; {hint}")]
    Missing {
        /// The name.
        name: BaselineName,
        /// Criterion's directory.
        directory: String,
        /// Which there are, or how to make one.
        hint: String,
    },
    /// The last run has not measured anything.
    #[error("{name} is empty: {why}")]
    Empty {
        /// The name.
        name: BaselineName,
        /// Which run, and what to do.
        why: String,
    },
    /// There is one of the name already.
    #[error(
        "there is a baseline {0} already: choose another name, or delete it first (save and import: --force)"
    )]
    Exists(BaselineName),
    /// A record of it cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A file of it cannot be read, written or moved.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// A file that holds no baseline.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// The four files that Criterion keeps of a run of one benchmark.
const CRITERION_FILES: [&str; 4] = [
    "benchmark.json",
    "estimates.json",
    "sample.json",
    "tukey.json",
];

/// Says which file an error of the system is about.
fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, BaselineError> {
    result.map_err(|error| BaselineError::File {
        path: path.display().to_string(),
        error,
    })
}

impl Baselines {
    /// Those of this project: in the directory that `cargo bench` writes to.
    pub fn here() -> Baselines {
        Baselines::beneath(criterion_directory())
    }

    /// Those beneath a Criterion output directory.
    pub fn beneath(criterion: impl Into<PathBuf>) -> Baselines {
        Baselines {
            criterion: criterion.into(),
        }
    }

    /// Keeps the latest run under `name`; with `replace` in the place of the baseline of that name.
    ///
    /// # Errors
    /// [`BaselineError::Exists`] without `replace`, [`BaselineError::Missing`] where nothing has run.
    pub fn save(&self, name: &BaselineName, replace: bool) -> Result<Baseline, BaselineError> {
        let latest = self.find(&BaselineName::latest())?;
        self.install(&latest, name, replace)
    }

    /// Takes in the baseline that [`Baseline::export`] has written to `file`, as `name` or by its own name;
    /// with `replace` in the place of the baseline of that name.
    ///
    /// # Errors
    /// [`BaselineError::Archive`] for another file, [`BaselineError::Exists`] without `replace`.
    pub fn import(
        &self,
        file: &Path,
        name: Option<&BaselineName>,
        replace: bool,
    ) -> Result<Baseline, BaselineError> {
        let records = self.criterion.join(RECORDS);
        at(&records, fs::create_dir_all(&records))?;
        // As large as what it becomes, so it belongs on the same disk; the dot hides it from `all`.
        let directory = tempfile::Builder::new()
            .prefix(".import-")
            .tempdir_in(&records);
        let unpacked = Unpacked::read_into(at(&records, directory)?, file)?;
        let name = name.unwrap_or(&unpacked.baseline.name);
        self.install(&unpacked.baseline, name, replace)
    }

    /// Gives a baseline another name.
    ///
    /// # Errors
    /// [`BaselineError::Missing`] and [`BaselineError::Exists`].
    pub fn rename(&self, old: &BaselineName, new: &BaselineName) -> Result<(), BaselineError> {
        let baseline = self.find(old)?;
        self.install(&baseline, new, false)?;
        self.delete(old)?;
        Ok(())
    }

    /// Deletes the records of a baseline and Criterion's directories of it, whichever run wrote them; how
    /// many there were of each.
    ///
    /// # Errors
    /// [`BaselineError::Missing`], and [`BaselineError::File`] for what cannot be removed.
    pub fn delete(&self, name: &BaselineName) -> Result<(usize, usize), BaselineError> {
        match self.files_of(name) {
            Some(baseline) => {
                let directories = baseline.criterion_paths().count();
                baseline.delete()?;
                Ok((baseline.points.len(), directories))
            }
            None => Err(self.missing(name, self.stored().keys())),
        }
    }

    /// Copies the files of a baseline here, under `name`: all of them, or none. With `replace` they take the
    /// place of the baseline of that name, which stays as it is until all are there.
    fn install(
        &self,
        baseline: &Baseline,
        name: &BaselineName,
        replace: bool,
    ) -> Result<Baseline, BaselineError> {
        let old = match (self.files_of(name), replace) {
            (Some(_), false) => return Err(BaselineError::Exists(name.clone())),
            (Some(old), true) => old.own_files(),
            // Perhaps a run was saved under the name, and measured nothing.
            (None, _) => self.nothing_of(name).own_files(),
        };
        let place = |path: &Path, root: &Path| path.strip_prefix(root).unwrap_or(path).to_owned();
        let files = baseline.files_as(name).into_iter();
        let files: Vec<(PathBuf, PathBuf)> = files
            .map(|(from, to)| (from, place(&to, &baseline.criterion)))
            .collect();
        let obsolete = old.iter().map(|path| place(path, &self.criterion));
        replacement::replace(&self.criterion, &files, obsolete.collect())?;
        Ok(Baseline {
            criterion: self.criterion.clone(),
            name: name.clone(),
            points: baseline.points.clone(),
            missing: baseline.missing.clone(),
            runs: Vec::new(),
        })
    }

    /// Every point that has a directory, and the directory.
    fn points(&self) -> Vec<(PointKey, PathBuf)> {
        let mut points = Vec::new();
        for bench in directories(&self.criterion.join(RECORDS)) {
            for prompt in directories(&bench) {
                for level in directories(&prompt) {
                    points.extend(point(&bench, &prompt, &level).map(|point| (point, level)));
                }
            }
        }
        points.sort();
        points
    }
}

impl Baseline {
    /// Its records, in the order of its points.
    ///
    /// # Errors
    /// [`RecordError`] for the first that cannot be read.
    pub fn records(&self) -> Result<Vec<RunRecord>, RecordError> {
        self.record_paths()
            .map(|path| RunRecord::read(&path))
            .collect()
    }

    /// Where its records lie.
    pub fn record_paths(&self) -> impl Iterator<Item = PathBuf> {
        let path = |point: &PointKey| point.record_path(self.name.as_str());
        self.points
            .iter()
            .map(move |point| self.criterion.join(path(point)))
    }

    /// Criterion's directories of it, those that there are.
    pub fn criterion_paths(&self) -> impl Iterator<Item = PathBuf> {
        let paths = |point: &'_ PointKey| Vec::from_iter(point.criterion_paths(self.name.as_str()));
        let paths = self.points.iter().flat_map(paths);
        paths
            .map(|path| self.criterion.join(path))
            .filter(|path| path.is_dir())
    }

    /// Removes its records and Criterion's files; nothing of its last runs is known any more.
    fn delete(&self) -> Result<(), BaselineError> {
        self.delete_files()?;
        self.forget_runs()
    }

    /// Removes what is known of its last runs.
    fn forget_runs(&self) -> Result<(), BaselineError> {
        for path in self.run_paths() {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => at(&path, Err(error))?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Where it stands what its last runs set out to measure.
    fn run_paths(&self) -> impl Iterator<Item = PathBuf> {
        let benches = Baselines::beneath(&self.criterion).benches().into_iter();
        benches.map(|bench| {
            let path = LastRun::path(&bench, self.name.as_str());
            self.criterion.join(path)
        })
    }

    fn delete_files(&self) -> Result<(), BaselineError> {
        for path in self.criterion_paths() {
            at(&path, fs::remove_dir_all(&path))?;
        }
        for path in self.record_paths().filter(|path| path.exists()) {
            at(&path, fs::remove_file(&path))?;
        }
        Ok(())
    }

    /// Whether a file is of before the last run of its point's bench began: Criterion's, of a metric which
    /// the run has not measured. Only beside the latest run are such files left.
    fn is_left_over(&self, point: &PointKey, file: &Path) -> bool {
        let mut runs = self.runs.iter();
        let run = runs.find(|run| file_name(&run.bench) == point.bench);
        let began = run.map(|run| run.started_unix_s);
        let began = began.filter(|_| self.name.is_latest());
        let modified = fs::metadata(file).and_then(|metadata| metadata.modified());
        let modified = modified.map(|at| at.duration_since(UNIX_EPOCH).unwrap_or_default());
        // Some file systems keep whole seconds.
        began.is_some_and(|began| modified.is_ok_and(|at| at.as_secs_f64() + 2.0 < began))
    }

    /// All files that [`Baseline::delete`] removes.
    fn own_files(&self) -> BTreeSet<PathBuf> {
        let of_criterion = self.criterion_paths().flat_map(|path| files(&path));
        let records = self.record_paths();
        let plans = self.run_paths();
        let single = records.chain(plans).filter(|path| path.is_file());
        of_criterion.chain(single).collect()
    }

    /// Its files, and where each would lie under another name. Records come last: a baseline is there
    /// once its records are.
    fn files_as(&self, name: &BaselineName) -> Vec<(PathBuf, PathBuf)> {
        let pairs = self.points.iter().flat_map(|point| {
            let paths = files_of(point, self.name.as_str());
            let paths = paths.into_iter().zip(files_of(point, name.as_str()));
            paths
                .map(|(from, to)| (self.criterion.join(from), self.criterion.join(to)))
                .filter(|(from, _)| from.is_file() && !self.is_left_over(point, from))
        });
        let mut pairs: Vec<(PathBuf, PathBuf)> = pairs.collect();
        pairs.sort_by_key(|(from, _)| from.starts_with(self.criterion.join(RECORDS)));
        pairs
    }
}

/// All files that a point of a baseline can have, relative to Criterion's directory: the record first.
fn files_of(point: &PointKey, name: &str) -> Vec<PathBuf> {
    let of_criterion = point
        .criterion_paths(name)
        .flat_map(|directory| CRITERION_FILES.map(|file| directory.join(file)));
    std::iter::once(point.record_path(name))
        .chain(of_criterion)
        .collect()
}

fn point(bench: &Path, prompt: &Path, level: &Path) -> Option<PointKey> {
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    Some(PointKey {
        bench: name(bench)?,
        prompt: name(prompt)?,
        concurrency: name(level)?.strip_prefix("c=")?.parse().ok()?,
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

/// The name that the servers of these records offer.
///
/// # Errors
/// [`NoName`] where they do not say their version, or different ones.
pub fn offered_name<'a>(
    records: impl IntoIterator<Item = &'a RunRecord>,
) -> Result<BaselineName, NoName> {
    BaselineName::of_servers(records.into_iter().flat_map(|record| &record.endpoints))
}

/// Names of the servers of several records; each once.
fn servers<'a>(records: impl IntoIterator<Item = &'a RunRecord>) -> String {
    let servers: BTreeSet<String> = records.into_iter().map(RunRecord::server).collect();
    Vec::from_iter(servers).join(", ")
}

#[cfg(test)]
mod tests;
