//! Finding baselines, and the records of their last runs.

use std::collections::BTreeMap;

use super::error::BaselineError;
use super::{Baseline, BaselineName, Baselines, files, record_name};
use crate::results::{ResultKey, file_name};

impl Baselines {
    /// All baselines by name, and the latest run, each with the points of its last runs. Empty if there is no
    /// directory.
    ///
    /// # Errors
    /// [`BaselineError::Unfinished`].
    pub fn all(&self) -> Result<Vec<Baseline>, BaselineError> {
        let stored = self.stored()?.into_iter();
        let last = stored.filter_map(|(name, places)| Some(self.by_run(&name, &places).ok()?.last));
        Ok(last
            .filter(|baseline| !baseline.results.is_empty())
            .collect())
    }

    /// The baseline of this name, with the points that the last run of each bench measured.
    ///
    /// # Errors
    /// [`BaselineError::Missing`], which names the existing ones; [`BaselineError::Empty`] if the last runs
    /// measured nothing, even if older ones did.
    pub fn find(&self, name: &BaselineName) -> Result<Baseline, BaselineError> {
        let (last, _) = self.with_older(name)?;
        match last.results.is_empty() {
            true => Err(nothing_measured(&last)),
            false => Ok(last),
        }
    }

    /// The baseline of this name, which may have no point, and the remaining records of older runs.
    ///
    /// # Errors
    /// [`BaselineError::Missing`].
    pub fn with_older(&self, name: &BaselineName) -> Result<(Baseline, Baseline), BaselineError> {
        let mut stored = self.stored()?;
        let places = stored.remove(name).unwrap_or_default();
        let by_run = self.by_run(name, &places)?;
        if places.is_empty() && by_run.last.runs.is_empty() {
            return Err(self.missing(name, stored.keys()));
        }
        Ok((by_run.last, by_run.older))
    }

    /// The error that there is no baseline of this name, with the names of the others.
    pub(super) fn missing<'a>(
        &self,
        name: &BaselineName,
        names: impl Iterator<Item = &'a BaselineName>,
    ) -> BaselineError {
        let names: Vec<&str> = names.map(BaselineName::as_str).collect();
        let hint = match names.as_slice() {
            [] => "measure first: cargo bench --bench chat_throughput".to_owned(),
            names => format!("existing baselines: {}", names.join(", ")),
        };
        BaselineError::Missing {
            name: name.clone(),
            directory: self.criterion.display().to_string(),
            hint,
        }
    }

    /// The results with records of each name, whichever run wrote them, after completing interrupted changes.
    pub(super) fn stored(&self) -> Result<BTreeMap<BaselineName, Vec<ResultKey>>, BaselineError> {
        self.finish_changes()?;
        Ok(self.places())
    }

    /// The results with records of each name, without completing interrupted changes.
    pub(super) fn places(&self) -> BTreeMap<BaselineName, Vec<ResultKey>> {
        let mut places: BTreeMap<BaselineName, Vec<ResultKey>> = BTreeMap::new();
        for (key, directory) in self.results() {
            for name in files(&directory).filter_map(|file| record_name(&file)) {
                places.entry(name).or_default().push(key.clone());
            }
        }
        places
    }

    /// Names with records of a bench.
    pub(crate) fn names_of(&self, bench: &str) -> Result<Vec<BaselineName>, BaselineError> {
        let directory = file_name(bench);
        let stored = self.stored()?.into_iter();
        let of_bench = stored.filter(|(_, places)| places.iter().any(|p| p.bench() == directory));
        Ok(of_bench.map(|(name, _)| name).collect())
    }

    /// All results of this name, whichever run wrote them; `None` if there is none.
    pub(super) fn files_of(&self, name: &BaselineName) -> Result<Option<Baseline>, BaselineError> {
        let results = self.stored()?.remove(name);
        Ok(results.map(|results| Baseline {
            results,
            ..self.empty(name)
        }))
    }

    /// A baseline of this name without results.
    pub(super) fn empty(&self, name: &BaselineName) -> Baseline {
        Baseline {
            criterion: self.criterion.clone(),
            name: name.clone(),
            results: Vec::new(),
            missing: Vec::new(),
            runs: Vec::new(),
        }
    }
}

/// The error that the last runs of a name measured nothing.
fn nothing_measured(last: &Baseline) -> BaselineError {
    let each = last.runs.iter().map(|run| {
        let (bench, started) = (&run.bench, run.started().format("%Y-%m-%d %H:%M UTC"));
        let points = run.points.len();
        format!(
            "the last run of {bench} (started {started}) measured none of its {points} point(s)"
        )
    });
    BaselineError::Empty {
        name: last.name.clone(),
        why: format!("{}; measure again", Vec::from_iter(each).join("; ")),
    }
}
