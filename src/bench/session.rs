//! All points of a bench, one after another.

use std::process::ExitCode;
use std::time::Duration;

use super::context::{Aborted, RunContext};
use super::criterion::{self, MetricBench};
use super::drive::{direct, distributed, in_turns};
use super::exit_code::{CANNOT_RUN, POINT_FAILED, after_printing};
use super::outcome::Results;
use super::point::Point;
use super::progress::Progress;
use super::{save, start};
use crate::ranks::Meeting;

/// Runs every point that the command line selects; the exit code says whether all were measured.
pub fn run(mut context: RunContext) -> ExitCode {
    let code = match &context.meeting {
        _ if context.selects_nothing() => {
            context.warn_nothing_matches();
            0
        }
        Some(meeting) if !meeting.ranks().leads() => follow(&context, meeting),
        _ => measure(&context),
    };
    let code = after_printing(&context.interrupt, code);
    ExitCode::from(match context.meeting.take() {
        None => code,
        Some(meeting) => meeting.close(code).unwrap_or_else(|error| {
            eprintln!("error: {error}");
            let of_signal = context.interrupt.exit_code();
            of_signal.unwrap_or(code.max(POINT_FAILED))
        }),
    })
}

/// Measures and reports, in a single process or as rank 0.
fn measure(context: &RunContext) -> u8 {
    let mut benches = MetricBench::all(&context.metrics, &context.args);
    let mut results = Results::default();
    let drives_load = context.args.drives_load();
    let booted = match drives_load {
        true => boot(context),
        // Neither listing nor loading a baseline needs a server.
        false => Ok(()),
    };
    let ran = booted.and_then(|()| match context.config.ab.is_some() && drives_load {
        true => run_points_in_turns(context, &mut results),
        false => run_points(context, &mut benches, &mut results),
    });
    if let Err(error) = &ran {
        abort(context, error);
        results.fail();
    }
    let is_complete = !results.failed();
    save::save_as_baselines(&[(context, is_complete)], &mut results);
    if ran.is_err() && results.is_empty() {
        return CANNOT_RUN;
    }
    if context.config.ab.is_none() {
        criterion::link_pages(context, benches.last());
    }
    match results.conclude(context) {
        true => 0,
        false => POINT_FAILED,
    }
}

/// Makes this the latest run, and the servers ready.
fn boot(context: &RunContext) -> Result<(), Aborted> {
    start::announce_plan(context);
    context.ready_fixture().map(drop)
}

fn run_points(
    context: &RunContext,
    benches: &mut [MetricBench],
    results: &mut Results,
) -> Result<(), Aborted> {
    let points = context.count_points() * context.config.runs.get();
    let mut progress = Progress::new(points, context.args.point_time(), Progress::CRITERION);
    for (at, prompt) in context.prompts.iter().enumerate() {
        let mut groups = criterion::open_groups(context, benches, &prompt.key);
        for info in context.points_of(at) {
            if context.interrupt.came() {
                return Ok(());
            }
            let point = Point::new(context, info);
            criterion::run(&point, &mut groups, &mut progress, results)?;
        }
    }
    run_points_again(context, &mut progress, results)
}

/// The passes after the first.
pub fn run_points_again(
    context: &RunContext,
    progress: &mut Progress,
    results: &mut Results,
) -> Result<(), Aborted> {
    let passes = context.config.runs.get();
    if passes == 1 || !context.args.drives_load() {
        return Ok(());
    }
    let fixture = context.fixture()?;
    for run in 1..passes {
        for info in context.selected() {
            if context.interrupt.came() {
                return Ok(());
            }
            direct::run(&Point::new(context, info), fixture, run, progress, results);
        }
    }
    Ok(())
}

/// Measures the two deployments of an A/B run in turns, point by point.
fn run_points_in_turns(context: &RunContext, results: &mut Results) -> Result<(), Aborted> {
    let fixture = context.fixture()?;
    let Some(sides) = &fixture.sides else {
        return Ok(());
    };
    let passes = context.config.runs.get();
    let sampling = context.args.sampling();
    let turns = 2 * sampling.windows as u32 * sampling.warm_up + 2 * sampling.measurement;
    let points = context.count_points() * passes;
    let mut progress = Progress::new(points, turns, Duration::ZERO);
    for run in 0..passes {
        for info in context.selected() {
            if context.interrupt.came() {
                return Ok(());
            }
            let point = Point::new(context, info);
            in_turns::run(&point, fixture, sides, run, &mut progress, results);
        }
    }
    Ok(())
}

/// Drives this rank's part of every point; rank 0 reports.
fn follow(context: &RunContext, meeting: &Meeting) -> u8 {
    for (done, info) in context.selected().enumerate() {
        if context.interrupt.came() {
            break;
        }
        if let Err(error) = distributed::follow(&Point::new(context, info), meeting) {
            abort(context, &error);
            return if done == 0 { CANNOT_RUN } else { POINT_FAILED };
        }
    }
    // Rank 0's exit code tells how it went.
    0
}

/// Prints why the run ends early, here and to the other ranks. Of a signal they know.
fn abort(context: &RunContext, error: &Aborted) {
    match error {
        Aborted::Interrupted(_) => return eprintln!("{error}"),
        Aborted::Fixture(_) | Aborted::Ranks(_) => eprintln!("error: {error}"),
    }
    if let Some(meeting) = &context.meeting {
        meeting.give_up(&error.to_string());
    }
}
