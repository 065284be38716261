//! The end of a run with `--save-baseline`: only a complete run replaces the baseline.

use std::error::Error;

use super::context::RunContext;
use super::outcome::Results;
use crate::results::baseline::{NameError, RunToSave, SavedRun};
use crate::results::{BaselineName, Baselines, ResultKey, criterion_directory};

/// Saves the runs that are complete as the baselines of `--save-baseline`, all in one change, and notes which
/// baselines are saved and which are not. A run without `--save-baseline` is ignored.
pub fn save_as_baselines(runs: &[(&RunContext, bool)], results: &mut Results) {
    let baselines = Baselines::beneath(criterion_directory());
    let runs = runs.iter().filter(|(run, _)| run.writes_records());
    let named = runs.filter_map(|(run, is_complete)| Some((*run, run.saved_name()?, *is_complete)));
    let (complete, incomplete): (Vec<_>, Vec<_>) =
        named.partition(|(run, _, is_complete)| *is_complete && !run.interrupt.came());
    for (run, name, _) in incomplete {
        let why = run.interrupt.why_partial();
        let why = why.unwrap_or_else(|| "not every point was measured completely".to_owned());
        note_unsaved(&baselines, run, &name, &why, results);
    }
    let to_save = complete.iter().map(|(run, name, _)| (*run, &**name));
    match save(&baselines, &Vec::from_iter(to_save)) {
        Ok(saved) => saved.iter().for_each(|run| note_saved(run, results)),
        Err(error) => {
            results.fail();
            for (run, name, _) in complete {
                note_unsaved(&baselines, run, &name, &error.to_string(), results);
            }
        }
    }
}

/// Saves runs under these names.
fn save(
    baselines: &Baselines,
    runs: &[(&RunContext, &str)],
) -> Result<Vec<SavedRun>, Box<dyn Error>> {
    // Deployments of a bench share the lock.
    let Some(lock) = runs.first().and_then(|(run, _)| run.lock.as_ref()) else {
        return Ok(Vec::new());
    };
    let runs = runs.iter().map(|(run, name)| to_save(run, name));
    Ok(baselines.save_runs(lock, &runs.collect::<Result<Vec<_>, _>>()?)?)
}

fn to_save<'a>(run: &'a RunContext, name: &str) -> Result<RunToSave<'a>, NameError> {
    Ok(RunToSave {
        bench: &run.name,
        run_id: &run.run_id,
        recorded_as: BaselineName::or_latest(run.record_name())?,
        name: name.parse()?,
        criterion_name: run.args.save_baseline().unwrap_or_default(),
        deployment: run.deployment_record().map(|record| &*record.name),
    })
}

fn note_saved(saved: &SavedRun, results: &mut Results) {
    let (name, dropped) = (&saved.name, &saved.dropped);
    let count = ResultKey::count(&saved.results);
    results.note_of_run(format!("baseline {name} is saved: {count}"));
    if !dropped.is_empty() {
        let names = Vec::from_iter(dropped.iter().map(ResultKey::to_string));
        results.note_of_run(format!(
            "baseline {name} is replaced; this run does not measure {} that it had: {}",
            ResultKey::count(dropped),
            names.join(", ")
        ));
    }
}

/// Warns that a run is not saved, why, and how to save what it measured.
fn note_unsaved(
    baselines: &Baselines,
    run: &RunContext,
    name: &str,
    why: &str,
    results: &mut Results,
) {
    let earlier = name.parse().is_ok_and(|name| baselines.find(&name).is_ok());
    let (stays, force) = match earlier {
        true => (", and the earlier one stays", " --force"),
        false => ("", ""),
    };
    // The points of a deployment are not in the latest run, which the command saves.
    let hint = match results.is_empty() || run.deployment_record().is_some() {
        true => String::new(),
        false => format!("; to save what was measured: servemark baseline save {name}{force}"),
    };
    results.warn_of_run(format!("baseline {name} is not saved{stays}: {why}{hint}"));
}
