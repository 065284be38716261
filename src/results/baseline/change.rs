//! Atomic changes of the files of baselines.
//!
//! The new files are first gathered in a hidden directory. Renaming it commits the change: before, nothing has
//! changed; afterwards the files are moved and the old ones removed, by this process or by the next that reads
//! baselines.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::error::{BaselineError, at};
use super::stop::{self, Step};
use super::{Baseline, BaselineName, Baselines, RECORDS, entries};
use crate::results::ResultsLock;
use crate::results::lock::Purpose;

/// Prefix of the name of a directory into which an exported baseline is unpacked.
pub(super) const IMPORTED: &str = ".import-";

/// Prefix of the name of a directory that is being filled: a change that is not committed.
const GATHERED: &str = ".gathered-";

/// Prefix of the name of a directory whose files are to be moved: a committed change.
const DECIDED: &str = ".decided-";

/// Prefix of the name of an empty file: the baseline whose name follows is to be deleted. It needs no space,
/// so a baseline can be deleted on a full disk.
const DELETED: &str = ".deleted-";

/// Subdirectory of the new files, each at its path relative to Criterion's directory.
const NEW: &str = "new";

/// File with the old files to remove: a JSON list of paths relative to Criterion's directory.
const OBSOLETE: &str = "obsolete.json";

/// A change of the baselines beneath a Criterion directory.
pub(super) struct BaselineChange<'a> {
    pub criterion: &'a Path,
    /// New files: the path that each is copied from, and its path relative to Criterion's directory.
    pub files: Vec<(PathBuf, PathBuf)>,
    /// Files to remove unless a new one replaces them, relative to Criterion's directory.
    pub obsolete: BTreeSet<PathBuf>,
}

impl BaselineChange<'_> {
    /// Applies the change.
    ///
    /// # Errors
    /// [`BaselineError::File`]. If a file cannot be copied, for lack of space, nothing changes; after a later
    /// error the next process completes the change.
    pub fn apply(self, _: &ResultsLock) -> Result<(), BaselineError> {
        let records = self.criterion.join(RECORDS);
        let id = rand::random::<u64>();
        let gathered = records.join(format!("{GATHERED}{id:016x}"));
        let decided = records.join(format!("{DECIDED}{id:016x}"));
        let ready = self.gather(&gathered).and_then(|()| {
            stop::before(Step::Rename)?;
            at(&decided, fs::rename(&gathered, &decided))
        });
        if ready.is_err() {
            abandon(self.criterion, &gathered);
        }
        ready?;
        sync_directory(&records);
        finish(self.criterion, &decided)
    }

    fn gather(&self, gathered: &Path) -> Result<(), BaselineError> {
        create_directories(gathered)?;
        let mut obsolete = self.obsolete.clone();
        for (from, to) in &self.files {
            self.copy(gathered, from, to)?;
            obsolete.remove(to);
        }
        let path = gathered.join(OBSOLETE);
        stop::before(Step::Write)?;
        let json = serde_json::to_vec(&obsolete).map_err(io::Error::from);
        at(&path, json.and_then(|json| fs::write(&path, json)))?;
        // All at the end: the first waits for the disk, and little is left to write for the others.
        for file in files_below(gathered) {
            at(&file, File::open(&file).and_then(|file| file.sync_all()))?;
        }
        Ok(())
    }

    /// Copies a file into the gathered directory, and creates its final directory: moving it then needs no
    /// space.
    fn copy(&self, gathered: &Path, from: &Path, to: &Path) -> Result<(), BaselineError> {
        let (gathered, place) = (gathered.join(NEW).join(to), self.criterion.join(to));
        for path in [&gathered, &place] {
            create_directories(path.parent().unwrap_or(path))?;
        }
        if place.is_dir() {
            let problem = "a directory is in place of a file".to_owned();
            return at(&place, Err(io::Error::other(problem)));
        }
        stop::before(Step::Write)?;
        let mut opened = at(from, File::open(from))?;
        let mut copy = at(&gathered, File::create_new(&gathered))?;
        at(&place, io::copy(&mut opened, &mut copy).map(drop))
    }
}

impl Baselines {
    /// Deletes all files of a baseline. Needs no space.
    pub(super) fn delete_whole(
        &self,
        baseline: &Baseline,
        _: &ResultsLock,
    ) -> Result<(), BaselineError> {
        let records = self.criterion.join(RECORDS);
        let marker = records.join(format!("{DELETED}{}", baseline.name));
        stop::before(Step::Mark)?;
        at(&marker, File::create(&marker).map(drop))?;
        sync_directory(&records);
        self.finish_deletion(&marker, baseline)
    }

    /// Deletes the marked baseline; can be repeated after an interruption.
    fn finish_deletion(&self, marker: &Path, baseline: &Baseline) -> Result<(), BaselineError> {
        for path in baseline.own_files() {
            remove(&self.criterion, &path)?;
        }
        stop::before(Step::Remove)?;
        at(marker, unless_gone(fs::remove_file(marker)))
    }

    /// Completes the committed changes of earlier processes.
    ///
    /// # Errors
    /// [`BaselineError::Unfinished`] if a change cannot be completed: a part of it must not be read as a
    /// baseline.
    pub(super) fn finish_changes(&self) -> Result<(), BaselineError> {
        if self.pending().is_empty() {
            return Ok(());
        }
        let taken = ResultsLock::take(&self.criterion, "servemark", Purpose::Change);
        let finished = taken
            .map_err(BaselineError::from)
            .and_then(|lock| self.finish_all(&lock));
        match finished {
            Err(_) if self.pending().is_empty() => Ok(()),
            Err(error) => Err(BaselineError::Unfinished {
                directory: self.criterion.display().to_string(),
                error: Box::new(error),
            }),
            Ok(()) => Ok(()),
        }
    }

    /// Completes committed changes and removes uncommitted ones: whoever holds the lock knows that their
    /// processes are dead.
    pub(super) fn finish_all(&self, _: &ResultsLock) -> Result<(), BaselineError> {
        for (path, name) in hidden(&self.criterion) {
            if name.starts_with(DECIDED) {
                finish(&self.criterion, &path)?;
            } else if let Some(name) = deleted(&name) {
                let baseline = self.places().remove(&name);
                let baseline = Baseline {
                    results: baseline.unwrap_or_default(),
                    ..self.empty(&name)
                };
                self.finish_deletion(&path, &baseline)?;
            } else if is_undecided(&name) {
                abandon(&self.criterion, &path);
            }
        }
        Ok(())
    }

    /// Whether an earlier process left something that can be removed only with the lock.
    pub(super) fn has_left_overs(&self) -> bool {
        let mut hidden = hidden(&self.criterion).into_iter();
        hidden.any(|(_, name)| is_undecided(&name)) || !self.pending().is_empty()
    }

    /// Committed changes that are not completed.
    fn pending(&self) -> Vec<PathBuf> {
        let hidden = hidden(&self.criterion).into_iter();
        let pending =
            hidden.filter(|(_, name)| name.starts_with(DECIDED) || name.starts_with(DELETED));
        pending.map(|(path, _)| path).collect()
    }
}

/// The entries beside the benches whose names start with a dot.
fn hidden(criterion: &Path) -> Vec<(PathBuf, String)> {
    let named = entries(&criterion.join(RECORDS)).filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        name.starts_with('.').then_some((path, name))
    });
    named.collect()
}

fn is_undecided(name: &str) -> bool {
    name.starts_with(GATHERED) || name.starts_with(IMPORTED)
}

/// The baseline to delete, if the file is the mark of a deletion.
fn deleted(name: &str) -> Option<BaselineName> {
    name.strip_prefix(DELETED)?.parse().ok()
}

/// Moves the gathered files and removes the obsolete ones; can be repeated after an interruption.
fn finish(criterion: &Path, decided: &Path) -> Result<(), BaselineError> {
    let new = decided.join(NEW);
    for from in files_below(&new) {
        let to = criterion.join(from.strip_prefix(&new).unwrap_or(&from));
        stop::before(Step::Rename)?;
        let moved = fs::create_dir_all(to.parent().unwrap_or(criterion))
            .and_then(|()| fs::rename(&from, &to));
        at(&to, unless_gone(moved))?;
    }
    let list = decided.join(OBSOLETE);
    // The list is missing if the removal of the directory was interrupted.
    let obsolete: Vec<PathBuf> = match fs::read(&list) {
        Ok(json) => at(
            &list,
            serde_json::from_slice(&json).map_err(io::Error::from),
        )?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return at(&list, Err(error)),
    };
    let is_below = |path: &PathBuf| path.components().all(|c| matches!(c, Component::Normal(_)));
    for path in obsolete.iter().filter(|path| is_below(path)) {
        remove(criterion, &criterion.join(path))?;
    }
    stop::before(Step::Remove)?;
    at(decided, unless_gone(fs::remove_dir_all(decided)))
}

/// Removes an uncommitted change, and the directories that were created for it.
fn abandon(criterion: &Path, uncommitted: &Path) {
    let new = uncommitted.join(NEW);
    for directory in directories_below(&new) {
        // Fails for a directory that is not empty.
        let _ = directory
            .strip_prefix(&new)
            .map(|place| fs::remove_dir(criterion.join(place)));
    }
    let _ = fs::remove_dir_all(uncommitted);
}

/// Removes a file, and its parent directories that become empty.
fn remove(criterion: &Path, path: &Path) -> Result<(), BaselineError> {
    stop::before(Step::Remove)?;
    at(path, unless_gone(fs::remove_file(path)))?;
    let directories = path.ancestors().skip(1);
    let mut below = directories.take_while(|directory| *directory != criterion);
    // Fails for a directory that is not empty; its parents are not empty either.
    while let Some(directory) = below.next()
        && fs::remove_dir(directory).is_ok()
    {}
    Ok(())
}

fn create_directories(path: &Path) -> Result<(), BaselineError> {
    stop::before(Step::Write)?;
    at(path, fs::create_dir_all(path))
}

/// Makes renames in a directory durable, on systems that support it.
fn sync_directory(path: &Path) {
    let _ = File::open(path).and_then(|directory| directory.sync_all());
}

fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in entries(directory) {
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files
}

/// The directories below, each after its own subdirectories.
fn directories_below(directory: &Path) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for path in entries(directory).filter(|path| path.is_dir()) {
        directories.extend(directories_below(&path));
        directories.push(path);
    }
    directories
}
