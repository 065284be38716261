//! Baselines: the run records of one name, with Criterion's own files of that name.
//!
//! `cargo bench -- --save-baseline NAME` writes both; here they are kept, renamed, deleted and carried
//! in one file from machine to machine, together, so that `cargo bench -- --baseline NAME` and
//! `servemark compare NAME …` always speak of the same run.

mod archive;
mod name;
mod replacement;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use archive::{ArchiveError, Manifest, Unpacked};
pub use name::{BaselineName, NameError, NoName};

use super::point::RECORDS;
use super::{PointKey, RecordError, RunRecord, criterion_directory};

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
    /// The points that it has a record of. Their names are those of directories: [`RunRecord`]s have the
    /// full ones.
    pub points: Vec<PointKey>,
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

    /// All of them, by name, and the latest run. No directory, no baseline.
    pub fn all(&self) -> Vec<Baseline> {
        // Whoever may only read sees what an unfinished replacement has left so far.
        let _ = replacement::finish_all(&self.criterion);
        let mut points: BTreeMap<BaselineName, Vec<PointKey>> = BTreeMap::new();
        for (point, directory) in self.points() {
            for name in files(&directory).filter_map(|file| record_name(&file)) {
                points.entry(name).or_default().push(point.clone());
            }
        }
        let baseline = |(name, points)| Baseline {
            criterion: self.criterion.clone(),
            name,
            points,
        };
        points.into_iter().map(baseline).collect()
    }

    /// The baseline of this name.
    ///
    /// # Errors
    /// [`BaselineError::Missing`], which names those that there are.
    pub fn find(&self, name: &BaselineName) -> Result<Baseline, BaselineError> {
        let mut all = self.all();
        if let Some(at) = all.iter().position(|baseline| baseline.name == *name) {
            return Ok(all.swap_remove(at));
        }
        let names: Vec<&str> = all.iter().map(|baseline| baseline.name.as_str()).collect();
        let hint = match names.as_slice() {
            [] => "measure first: cargo bench --bench chat_throughput".to_owned(),
            names => format!("there are: {}", names.join(", ")),
        };
        Err(BaselineError::Missing {
            name: name.clone(),
            directory: self.criterion.display().to_string(),
            hint,
        })
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
        baseline.delete()
    }

    /// Copies the files of a baseline here, under `name`: all of them, or none. With `replace` they take the
    /// place of the baseline of that name, which stays as it is until all are there.
    fn install(
        &self,
        baseline: &Baseline,
        name: &BaselineName,
        replace: bool,
    ) -> Result<Baseline, BaselineError> {
        let old = match (self.find(name), replace) {
            (Ok(_), false) => return Err(BaselineError::Exists(name.clone())),
            (Ok(old), true) => old.own_files(),
            (Err(_), _) => BTreeSet::new(),
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

    /// Removes its records and Criterion's files.
    ///
    /// # Errors
    /// [`BaselineError::File`] for what cannot be removed.
    pub fn delete(&self) -> Result<(), BaselineError> {
        for path in self.criterion_paths() {
            at(&path, fs::remove_dir_all(&path))?;
        }
        for path in self.record_paths().filter(|path| path.exists()) {
            at(&path, fs::remove_file(&path))?;
        }
        Ok(())
    }

    /// All files that [`Baseline::delete`] removes.
    fn own_files(&self) -> BTreeSet<PathBuf> {
        let of_criterion = self.criterion_paths().flat_map(|path| files(&path));
        let records = self.record_paths().filter(|path| path.is_file());
        of_criterion.chain(records).collect()
    }

    /// Its files, and where each would lie under another name. Records come last: a baseline is there
    /// once its records are.
    fn files_as(&self, name: &BaselineName) -> Vec<(PathBuf, PathBuf)> {
        let pairs = self.points.iter().flat_map(|point| {
            let paths = files_of(point, self.name.as_str());
            paths.into_iter().zip(files_of(point, name.as_str()))
        });
        let mut pairs: Vec<(PathBuf, PathBuf)> = pairs
            .map(|(from, to)| (self.criterion.join(from), self.criterion.join(to)))
            .filter(|(from, _)| from.is_file())
            .collect();
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
