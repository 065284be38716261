//! The start of a run: from then on the results of an earlier run are no longer the latest.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use super::context::RunContext;
use super::criterion::{BenchArgs, Mode};
use crate::results::baseline::BaselineError;
use crate::results::{
    Baselines, LastRun, LockError, PlannedPoint, ResultsLock, check_writable_directory,
    criterion_directory, directory, file_name,
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
    if let Err(error) = write_plan(context) {
        eprintln!("warning: {error}; nothing of this run can be kept, its figures are only shown");
    }
}

fn write_plan(context: &RunContext) -> io::Result<()> {
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
    let names = context.latest_names();
    names
        .iter()
        .try_for_each(|name| run.write(&criterion, name))
}
