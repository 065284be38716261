//! The start of a run: from then on what an earlier one has left is no longer the latest.

use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::args::Mode;
use super::session::Session;
use crate::config::Metric;
use crate::results::baseline::BaselineError;
use crate::results::{
    BaselineName, Baselines, CriterionGroup, LastRun, PlannedPoint, PointKey, criterion_directory,
};

/// A new run's id: 16 hexadecimal digits.
pub(super) fn new_run_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

impl Session {
    /// Says in the results what the run sets out to measure, so that a point which it does not reach is
    /// missing, and not an older run's. Only a measurement is a run.
    pub fn announce_plan(&self) {
        if !self.is_a_run() {
            return;
        }
        if let Err(error) = self.write_plan(&self.latest_names()) {
            eprintln!(
                "warning: {error}; nothing of this run can be kept, its figures are only shown"
            );
        }
    }

    fn write_plan(&self, names: &[String]) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let points = self.selected().map(|point| PlannedPoint {
            prompt: point.prompt.key.clone(),
            concurrency: point.concurrency.get(),
        });
        let run = LastRun {
            run_id: self.run_id.clone(),
            started_unix_s: now.unwrap_or_default().as_secs_f64(),
            bench: self.name.clone(),
            points: points.collect(),
        };
        let criterion = criterion_directory();
        for name in names {
            run.write(&criterion, name)?;
        }
        Ok(())
    }

    /// Makes room for the baseline that the run is saved as: the bench's part of an earlier one is
    /// replaced whole, as soon as the servers are ready. Points that only the earlier one has would stay
    /// in it as if they had been measured now.
    pub fn replace_saved(&self) {
        let Some(name) = self.saved_name().filter(|_| self.is_a_run()) else {
            return;
        };
        let cleared = self.clear(&name).and_then(|gone| {
            let planned = self.write_plan(std::slice::from_ref(&name));
            planned.map(|()| gone).map_err(|error| BaselineError::File {
                path: name.clone(),
                error,
            })
        });
        match cleared {
            Ok(gone) if gone.is_empty() => {}
            Ok(gone) => {
                let gone: Vec<String> = gone.iter().map(PointKey::to_string).collect();
                eprintln!(
                    "note: baseline {name} is replaced; this run does not measure {} point(s) that it had: {}",
                    gone.len(),
                    gone.join(", ")
                );
            }
            Err(error) => eprintln!("warning: baseline {name} cannot be replaced: {error}"),
        }
    }

    /// Clears the baseline; the points that the run does not measure again.
    fn clear(&self, name: &str) -> Result<Vec<PointKey>, BaselineError> {
        let criterion = criterion_directory();
        let parsed = BaselineName::or_latest(name).map_err(|error| BaselineError::File {
            path: name.to_owned(),
            error: io::Error::other(error),
        })?;
        let mut cleared = Baselines::beneath(&criterion).clear(&parsed, &self.name)?;
        if let (Some(deployment), Some(saved)) =
            (self.deployment_record(), self.args.save_baseline())
        {
            // Criterion's files of a deployment lie deeper than a baseline's.
            for (place, metric) in cleared.iter().flat_map(|p| Metric::ALL.map(|m| (p, m))) {
                let group = CriterionGroup::new(&self.name, &place.prompt, metric);
                let level = format!("c={}", place.concurrency);
                let path = Path::new(&group.directory)
                    .join(&deployment.name)
                    .join(level);
                // One that stays is overwritten, or its point is no longer in the baseline.
                let _ = std::fs::remove_dir_all(criterion.join(path).join(saved));
            }
        }
        let selected: Vec<PointKey> = self.selected().map(|point| point.key()).collect();
        cleared.retain(|place| !selected.iter().any(|point| place.shares_files(point)));
        Ok(cleared)
    }

    /// Whether records are written at all.
    fn is_a_run(&self) -> bool {
        self.args.mode() == Mode::Bench && self.args.drives_load()
    }

    /// What the run's records are called while it is the last one: `new`, its deployment, or the sides of
    /// an A/B run.
    fn latest_names(&self) -> Vec<String> {
        match &self.config.ab {
            Some(sides) => sides.iter().map(|side| side.name.clone()).collect(),
            None => vec![self.record_name().to_owned()],
        }
    }

    /// Every name under which the run writes records.
    pub fn names_written(&self) -> Vec<String> {
        let mut names = self.latest_names();
        names.extend(self.saved_name());
        names
    }

    /// The baseline that the run is saved as, if it is. Sides of an A/B run have their own names.
    pub fn saved_name(&self) -> Option<String> {
        let name = self.args.save_baseline();
        let name = name.filter(|_| self.config.ab.is_none())?;
        Some(match self.deployment_record() {
            Some(deployment) => format!("{name}-{}", deployment.name),
            None => name.to_owned(),
        })
    }

    /// Whether the command line selects nothing of the bench.
    pub fn selects_nothing(&self) -> bool {
        self.selected().next().is_none()
    }

    /// Says that the filter matches nothing. It may be meant for another bench of the same `cargo bench`, so
    /// it is no failure.
    pub fn say_nothing_matches(&self) {
        if let Some(filter) = self.args.filter().filter(|_| self.leads()) {
            let bench = &self.name;
            eprintln!("note: no benchmark of {bench} matches {filter:?}; --list names them");
        }
    }
}
