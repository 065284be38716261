//! Saving the runs of a bench as baselines, at the end of the bench.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::BaselineError;
use super::{Baseline, BaselineName, Baselines, CRITERION_FILES, complete};
use crate::results::{ResultKey, ResultsLock, file_name};

/// A run of a bench, and the baseline as which it is saved.
pub(crate) struct RunToSave<'a> {
    /// Name of the bench.
    pub bench: &'a str,
    /// The `run_id` of its records.
    pub run_id: &'a str,
    /// Name of its records: `new`, or the name of its deployment.
    pub recorded_as: BaselineName,
    /// Name of the baseline.
    pub name: BaselineName,
    /// Name of Criterion's directories of the baseline.
    pub criterion_name: &'a str,
    /// The deployment whose name is a part of Criterion's paths.
    pub deployment: Option<&'a str>,
}

/// A run that is saved as a baseline.
pub(crate) struct SavedRun {
    /// Name of the baseline.
    pub name: BaselineName,
    /// Its points and capacities.
    pub results: Vec<ResultKey>,
    /// What only the replaced baseline had.
    pub dropped: Vec<ResultKey>,
}

impl Baselines {
    /// Saves runs as baselines, with Criterion's files: all of them in one change. Each replaces the whole part of
    /// its bench in an earlier baseline of the name.
    ///
    /// # Errors
    /// [`BaselineError::Empty`] if the records are not of these runs, and [`BaselineError::File`]; nothing has
    /// changed then, or the next process completes the change.
    pub(crate) fn save_runs(
        &self,
        lock: &ResultsLock,
        runs: &[RunToSave<'_>],
    ) -> Result<Vec<SavedRun>, BaselineError> {
        let (mut files, mut obsolete) = (Vec::new(), BTreeSet::new());
        let mut saved = Vec::new();
        for run in runs {
            let latest = self.measured_by(run)?;
            let mut replaced = self.of_bench(&run.name, run.bench)?;
            files.extend(run.records(&latest));
            files.extend(run.of_criterion(&latest));
            obsolete.extend(replaced.own_files());
            for key in &replaced.results {
                obsolete.extend(run.criterion_files(key, run.criterion_name));
            }
            let is_measured = |old: &ResultKey| latest.results.iter().any(|r| r.shares_files(old));
            replaced.results.retain(|key| !is_measured(key));
            saved.push(SavedRun {
                name: run.name.clone(),
                results: latest.results,
                dropped: replaced.results,
            });
        }
        let obsolete = obsolete.iter().map(|path| self.criterion.join(path));
        self.apply(lock, files, obsolete.collect())?;
        Ok(saved)
    }

    /// What the run has measured.
    fn measured_by(&self, run: &RunToSave<'_>) -> Result<Baseline, BaselineError> {
        let mut latest = self.find(&run.recorded_as)?;
        let directory = file_name(run.bench);
        latest.results.retain(|place| place.bench() == directory);
        let is_own = |last: &super::LastRun| last.run_id == run.run_id;
        match latest.runs.iter().any(is_own) && !latest.results.is_empty() {
            true => Ok(latest),
            false => Err(BaselineError::Empty {
                name: run.recorded_as.clone(),
                why: "it has no record of this run".to_owned(),
            }),
        }
    }

    /// The part of a bench in a baseline, whichever run wrote it; without results if there is none.
    fn of_bench(&self, name: &BaselineName, bench: &str) -> Result<Baseline, BaselineError> {
        let mut stored = self.files_of(name)?.unwrap_or_else(|| self.empty(name));
        let directory = file_name(bench);
        stored.results.retain(|place| place.bench() == directory);
        Ok(stored)
    }
}

impl RunToSave<'_> {
    /// Its records, and the path of each in the baseline.
    fn records(&self, latest: &Baseline) -> Vec<(PathBuf, PathBuf)> {
        let pair = |key: &ResultKey| {
            let from = key.record_path(latest.name.as_str());
            let to = key.record_path(self.name.as_str());
            (latest.criterion.join(from), to)
        };
        latest.results.iter().map(pair).collect()
    }

    /// Criterion's files of the run, and the path of each in the baseline.
    fn of_criterion(&self, latest: &Baseline) -> Vec<(PathBuf, PathBuf)> {
        let mut files = Vec::new();
        for key in &latest.results {
            let from = self.criterion_files(key, "new");
            let pairs = from.zip(self.criterion_files(key, self.criterion_name));
            let pairs = pairs.map(|(from, to)| (latest.criterion.join(from), to));
            let is_own = |file: &Path| file.is_file() && !latest.is_older(key, file);
            files.extend(pairs.filter(|(from, _)| is_own(from)));
        }
        complete(files)
    }

    /// All files that Criterion can have of a result, relative to its directory.
    fn criterion_files(&self, key: &ResultKey, name: &str) -> impl Iterator<Item = PathBuf> {
        let directories = key.criterion_directories(self.deployment, name);
        directories.flat_map(|directory| CRITERION_FILES.map(|file| directory.join(file)))
    }
}
