//! Which baselines there are, and what of each is its last run's.

use std::collections::BTreeMap;

use super::{Baseline, BaselineError, BaselineName, Baselines, files, record_name, replacement};
use crate::results::{PointKey, file_name};

impl Baselines {
    /// All of them, by name, and the latest run, each as its last runs measured it. No directory, no
    /// baseline.
    pub fn all(&self) -> Vec<Baseline> {
        let stored = self.stored().into_iter();
        let last = stored.filter_map(|(name, places)| Some(self.by_run(&name, &places).ok()?.last));
        last.filter(|baseline| !baseline.points.is_empty())
            .collect()
    }

    /// The baseline of this name, as the last run of each bench measured it.
    ///
    /// # Errors
    /// [`BaselineError::Missing`], which names those that there are; [`BaselineError::Empty`] where the last
    /// runs measured nothing, though older ones may have.
    pub fn find(&self, name: &BaselineName) -> Result<Baseline, BaselineError> {
        let (last, _) = self.with_older(name)?;
        match last.points.is_empty() {
            true => Err(empty(&last)),
            false => Ok(last),
        }
    }

    /// The baseline of this name, perhaps without any point, and beside it the records of its points that
    /// older runs have left.
    ///
    /// # Errors
    /// [`BaselineError::Missing`].
    pub fn with_older(&self, name: &BaselineName) -> Result<(Baseline, Baseline), BaselineError> {
        let mut stored = self.stored();
        let places = stored.remove(name).unwrap_or_default();
        let by_run = self.by_run(name, &places)?;
        if places.is_empty() && by_run.last.runs.is_empty() {
            return Err(self.missing(name, stored.keys()));
        }
        Ok((by_run.last, by_run.older))
    }

    /// That there is none of this name, but for these.
    pub(super) fn missing<'a>(
        &self,
        name: &BaselineName,
        names: impl Iterator<Item = &'a BaselineName>,
    ) -> BaselineError {
        let names: Vec<&str> = names.map(BaselineName::as_str).collect();
        let hint = match names.as_slice() {
            [] => "measure first: cargo bench --bench chat_throughput".to_owned(),
            names => format!("there are: {}", names.join(", ")),
        };
        BaselineError::Missing {
            name: name.clone(),
            directory: self.criterion.display().to_string(),
            hint,
        }
    }

    /// Where records of each name lie, whichever run wrote them.
    pub(super) fn stored(&self) -> BTreeMap<BaselineName, Vec<PointKey>> {
        // Whoever may only read sees what an unfinished replacement has left so far.
        let _ = replacement::finish_all(&self.criterion);
        let mut places: BTreeMap<BaselineName, Vec<PointKey>> = BTreeMap::new();
        for (point, directory) in self.points() {
            for name in files(&directory).filter_map(|file| record_name(&file)) {
                places.entry(name).or_default().push(point.clone());
            }
        }
        places
    }

    /// Names of which records of a bench are there.
    pub(crate) fn names_of(&self, bench: &str) -> Vec<BaselineName> {
        let directory = file_name(bench);
        let stored = self.stored().into_iter();
        let of_bench = stored.filter(|(_, places)| places.iter().any(|p| p.bench == directory));
        of_bench.map(|(name, _)| name).collect()
    }

    /// All files of this name, whichever run wrote them; `None` where there is none.
    pub(super) fn files_of(&self, name: &BaselineName) -> Option<Baseline> {
        Some(Baseline {
            points: self.stored().remove(name)?,
            ..self.nothing_of(name)
        })
    }

    /// A baseline of this name without any point.
    pub(super) fn nothing_of(&self, name: &BaselineName) -> Baseline {
        Baseline {
            criterion: self.criterion.clone(),
            name: name.clone(),
            points: Vec::new(),
            missing: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Takes a bench out of a baseline, with what older runs have left of it: it is about to be measured
    /// again. Returns its points.
    ///
    /// # Errors
    /// [`BaselineError::File`] for what cannot be removed.
    pub fn clear(&self, name: &BaselineName, bench: &str) -> Result<Vec<PointKey>, BaselineError> {
        let Some(mut stored) = self.files_of(name) else {
            return Ok(Vec::new());
        };
        let directory = file_name(bench);
        stored.points.retain(|place| place.bench == directory);
        stored.delete_files()?;
        Ok(stored.points)
    }
}

/// That the last runs of a name measured nothing.
fn empty(last: &Baseline) -> BaselineError {
    let each = last.runs.iter().map(|run| {
        let (bench, started) = (&run.bench, run.started().format("%Y-%m-%d %H:%M UTC"));
        let points = run.points.len();
        format!(
            "the last run of {bench} (began {started}) has measured none of its {points} point(s)"
        )
    });
    BaselineError::Empty {
        name: last.name.clone(),
        why: format!("{}; measure again", Vec::from_iter(each).join("; ")),
    }
}
