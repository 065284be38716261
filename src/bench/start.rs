//! The start of a run: from then on the results of an earlier run are no longer the latest.

use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::context::RunContext;
use super::criterion::{BenchArgs, Mode};
use crate::config::Metric;
use crate::results::baseline::BaselineError;
use crate::results::{
    BaselineName, Baselines, CriterionGroup, LastRun, LockError, PlannedPoint, PointKey,
    ResultsLock, check_writable_directory, criterion_directory, directory, file_name,
};

/// Finds out before the load whether what a bench measures could be written, and takes the right to write it,
/// as the only process. `None` for a process that writes no results.
pub fn lock_results(
    args: &BenchArgs,
    bench: &str,
    leads: bool,
) -> Result<Option<ResultsLock>, String> {
    if args.mode() != Mode::Bench || !args.drives_load() || !leads {
        return Ok(None);
    }
    let unwritable = |error: &dyn std::fmt::Display| {
        format!("the results cannot be written, and nothing was measured: {error}")
    };
    check_writable_directory(&directory().join(file_name(bench))).map_err(|e| unwritable(&e))?;
    let baselines = Baselines::beneath(criterion_directory());
    let lock = baselines.lock_for_run(&format!("the bench {bench}"));
    lock.map(Some).map_err(|error| match error {
        BaselineError::Lock(held @ LockError::Held { .. }) => held.to_string(),
        error => unwritable(&error),
    })
}

/// Says in the results what the run sets out to measure, so that a point which it does not reach is
/// missing, and not an older run's. Only a measurement is a run.
pub fn announce_plan(context: &RunContext) {
    if !context.writes_records() {
        return;
    }
    if context.lock.as_ref().is_some_and(|lock| !lock.is_held()) {
        let directory = directory();
        eprintln!(
            "note: the file system of {} knows no locks: start no other run that writes there",
            directory.display()
        );
    }
    if let Err(error) = write_plan(context, &context.latest_names()) {
        eprintln!("warning: {error}; nothing of this run can be kept, its figures are only shown");
    }
}

fn write_plan(context: &RunContext, names: &[String]) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let points = context.selected().map(|point| PlannedPoint {
        prompt: point.prompt.to_owned(),
        level: point.level,
    });
    let run = LastRun {
        run_id: context.run_id.clone(),
        started_unix_s: now.unwrap_or_default().as_secs_f64(),
        bench: context.name.clone(),
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
pub fn replace_saved(context: &RunContext) {
    let Some(name) = context.saved_name().filter(|_| context.writes_records()) else {
        return;
    };
    let cleared = clear(context, &name).and_then(|gone| {
        let planned = write_plan(context, std::slice::from_ref(&name));
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
fn clear(context: &RunContext, name: &str) -> Result<Vec<PointKey>, BaselineError> {
    let criterion = criterion_directory();
    let parsed = BaselineName::or_latest(name).map_err(|error| BaselineError::File {
        path: name.to_owned(),
        error: io::Error::other(error),
    })?;
    let Some(lock) = &context.lock else {
        return Ok(Vec::new());
    };
    let mut cleared = Baselines::beneath(&criterion).clear(lock, &parsed, &context.name)?;
    if let (Some(deployment), Some(saved)) =
        (context.deployment_record(), context.args.save_baseline())
    {
        // Criterion's files of a deployment lie deeper than a baseline's.
        for (place, metric) in cleared.iter().flat_map(|p| Metric::ALL.map(|m| (p, m))) {
            let group = CriterionGroup::new(&context.name, &place.prompt, metric);
            let level = place.level.to_string();
            let path = Path::new(&group.directory)
                .join(&deployment.name)
                .join(level);
            // A directory left behind is overwritten, or its point is no longer in the baseline.
            let _ = std::fs::remove_dir_all(criterion.join(path).join(saved));
        }
    }
    let selected: Vec<PointKey> = context.selected().map(|point| point.key()).collect();
    cleared.retain(|place| !selected.iter().any(|point| place.shares_files(point)));
    Ok(cleared)
}
