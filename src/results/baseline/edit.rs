//! Saving, importing, renaming and deleting baselines, under the lock.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::change::{BaselineChange, IMPORTED};
use super::error::{BaselineError, at};
use super::{Baseline, BaselineName, Baselines, RECORDS, Unpacked};
use crate::results::whole_file::clear_dead_files_below;
use crate::results::{Purpose, ResultsLock};

impl Baselines {
    /// Saves the latest run as `name`; with `replace` an existing baseline is replaced.
    ///
    /// # Errors
    /// [`BaselineError::Exists`] without `replace`, [`BaselineError::Missing`] if nothing has run,
    /// [`BaselineError::Lock`] during a run.
    pub fn save(&self, name: &BaselineName, replace: bool) -> Result<Baseline, BaselineError> {
        let lock = self.lock("servemark baseline save")?;
        let latest = self.find(&BaselineName::latest())?;
        self.install(&lock, &latest, name, replace)
    }

    /// Imports the baseline that [`Baseline::export`] wrote to `file`, as `name` or under its own name; with
    /// `replace` an existing baseline is replaced.
    ///
    /// # Errors
    /// [`BaselineError::Archive`] for another file, [`BaselineError::Exists`] without `replace`,
    /// [`BaselineError::Lock`] during a run.
    pub fn import(
        &self,
        file: &Path,
        name: Option<&BaselineName>,
        replace: bool,
    ) -> Result<Baseline, BaselineError> {
        let lock = self.lock("servemark baseline import")?;
        let records = self.criterion.join(RECORDS);
        // On the same disk, as it is as large as the baseline; the dot hides it from `all`.
        let mut directory = tempfile::Builder::new();
        let directory = directory.prefix(IMPORTED).tempdir_in(&records);
        let unpacked = Unpacked::read_into(at(&records, directory)?, file)?;
        let name = name.unwrap_or(&unpacked.baseline.name);
        self.install(&lock, &unpacked.baseline, name, replace)
    }

    /// Renames a baseline.
    ///
    /// # Errors
    /// [`BaselineError::Missing`], [`BaselineError::Exists`], and [`BaselineError::Lock`] during a run.
    pub fn rename(&self, old: &BaselineName, new: &BaselineName) -> Result<(), BaselineError> {
        let lock = self.lock("servemark baseline rename")?;
        let baseline = self.find(old)?;
        let mut obsolete = self.replaced_by(new, false)?;
        if let Some(stored) = self.files_of(old)? {
            obsolete.extend(stored.own_files());
        }
        self.change(&lock, &baseline, new, obsolete)
    }

    /// Deletes the records of a baseline and Criterion's directories of it, whichever run wrote them. Returns
    /// how many of each there were.
    ///
    /// # Errors
    /// [`BaselineError::Missing`], [`BaselineError::File`] if a file cannot be removed, and
    /// [`BaselineError::Lock`] during a run.
    pub fn delete(&self, name: &BaselineName) -> Result<(usize, usize), BaselineError> {
        let lock = self.lock("servemark baseline delete")?;
        match self.files_of(name)? {
            Some(baseline) => {
                let directories = baseline.criterion_paths().count();
                self.delete_whole(&baseline, &lock)?;
                Ok((baseline.results.len(), directories))
            }
            None => Err(self.missing(name, self.stored()?.keys())),
        }
    }

    /// Takes the lock for the command of this name, and completes or removes interrupted changes.
    fn lock(&self, command: &str) -> Result<ResultsLock, BaselineError> {
        let lock = ResultsLock::take(&self.criterion, command, Purpose::Change)?;
        self.finish_all(&lock)?;
        Ok(lock)
    }

    /// Removes files that dead processes left beside the records, and completes their committed changes. Files
    /// that cannot be removed stay.
    pub(super) fn clear_left_overs(&self) {
        clear_dead_files_below(&self.criterion.join(RECORDS));
        if self.has_left_overs()
            && let Some(lock) = ResultsLock::take_if_free(&self.criterion, "servemark")
        {
            // An error is reported when a baseline is read.
            let _ = self.finish_all(&lock);
        }
    }

    /// Takes the lock for a run, and removes files that dead processes left.
    ///
    /// # Errors
    /// [`BaselineError::Lock`], which names the holder, and [`BaselineError::File`] if an interrupted change
    /// cannot be completed.
    pub(crate) fn lock_for_run(&self, name: &str) -> Result<ResultsLock, BaselineError> {
        let lock = ResultsLock::take(&self.criterion, name, Purpose::Run)?;
        clear_dead_files_below(&self.criterion.join(RECORDS));
        self.finish_all(&lock)?;
        Ok(lock)
    }

    /// Copies the files of a baseline here, under `name`: all of them, or none. With `replace` they replace
    /// the baseline of that name, which stays complete until all files are copied.
    fn install(
        &self,
        lock: &ResultsLock,
        baseline: &Baseline,
        name: &BaselineName,
        replace: bool,
    ) -> Result<Baseline, BaselineError> {
        let obsolete = self.replaced_by(name, replace)?;
        self.change(lock, baseline, name, obsolete)?;
        Ok(Baseline {
            results: baseline.results.clone(),
            missing: baseline.missing.clone(),
            ..self.empty(name)
        })
    }

    /// The files that a new baseline of this name replaces.
    fn replaced_by(
        &self,
        name: &BaselineName,
        replace: bool,
    ) -> Result<BTreeSet<PathBuf>, BaselineError> {
        match (self.files_of(name)?, replace) {
            (Some(_), false) => Err(BaselineError::Exists(name.clone())),
            (Some(old), true) => Ok(old.own_files()),
            // A run saved under the name may have measured nothing.
            (None, _) => Ok(self.empty(name).own_files()),
        }
    }

    /// Copies the files of a baseline to those of `name`, and removes obsolete ones that are not replaced.
    fn change(
        &self,
        lock: &ResultsLock,
        baseline: &Baseline,
        name: &BaselineName,
        obsolete: BTreeSet<PathBuf>,
    ) -> Result<(), BaselineError> {
        let files = baseline.complete_files_as(name).into_iter();
        let files = files.map(|(from, to)| (from, relative(&to, &baseline.criterion)));
        self.apply(lock, files.collect(), obsolete)
    }

    /// Applies a change; the paths of obsolete files are below Criterion's directory.
    pub(super) fn apply(
        &self,
        lock: &ResultsLock,
        files: Vec<(PathBuf, PathBuf)>,
        obsolete: BTreeSet<PathBuf>,
    ) -> Result<(), BaselineError> {
        let obsolete = obsolete.iter().map(|path| relative(path, &self.criterion));
        let change = BaselineChange {
            criterion: &self.criterion,
            files,
            obsolete: obsolete.collect(),
        };
        change.apply(lock)
    }
}

/// A path below `root`, relative to it.
fn relative(path: &Path, root: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}
