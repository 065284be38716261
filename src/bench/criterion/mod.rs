//! All that knows Criterion: its command line, its groups, and the windows of a load as its samples.

mod args;
mod live;
mod metric_bench;
mod point_failed;
mod replay;

use std::time::Duration;

use super::context::Aborted;
use super::drive::{direct, distributed};
use super::outcome::Results;
use super::point::Point;
use super::progress::Progress;
use crate::config::Metric;
use crate::load::Window;

pub use args::{BenchArgs, Mode, NamedBaseline};
pub use metric_bench::{MetricBench, MetricGroup, link_pages, open_groups};

use point_failed::PointFailed;
use replay::{REPLAY_PACE, Replay};

/// Metrics for which Criterion has no result, though the load ran.
#[derive(Default)]
struct MetricsWithoutResult {
    /// The load does not define them.
    undefined: Vec<Metric>,
    /// A signal came before Criterion had them.
    interrupted: Vec<Metric>,
}

/// Ranks metrics by how likely a load leaves them undefined; the lowest drives the load.
fn doubt(metric: Metric) -> u8 {
    match metric {
        Metric::OutputTokS | Metric::Rps | Metric::E2el => 0,
        Metric::Ttft => 1,
        Metric::Tpot => 2,
    }
}

/// Runs each metric of a point: one that is selected drives the load, the others replay its windows.
pub fn run(
    point: &Point<'_>,
    groups: &mut [MetricGroup<'_>],
    progress: &mut Progress,
    results: &mut Results,
) -> Result<(), Aborted> {
    let metrics = point.context.selected_metrics(&point.info);
    let selected = groups
        .iter_mut()
        .filter(|group| metrics.contains(&group.metric));
    let mut selected: Vec<&mut MetricGroup<'_>> = selected.collect();
    if !point.context.args.drives_load() {
        // Neither listing nor loading a baseline calls a benchmark.
        for group in selected {
            group.bench(&point.info, results, |_, _| 0.0);
        }
        return Ok(());
    }
    // The first, unless it may turn out to be undefined.
    let driver = (0..selected.len()).min_by_key(|at| doubt(selected[*at].metric));
    let Some(driver) = driver.map(|at| selected.remove(at)) else {
        return Ok(());
    };
    let mut missing = MetricsWithoutResult::default();
    let windows = drive_load(point, driver, progress, results, &mut missing)?;
    let count = 1 + selected.len();
    for group in selected {
        replay_windows(point, group, results, &windows, &mut missing);
    }
    let name = point.info.name();
    if let (Some(why), false) = (
        point.context.interrupt.why_partial(),
        missing.interrupted.is_empty(),
    ) {
        results.not_analysed(&name, &missing.interrupted, &why);
    }
    let nothing_else = missing.undefined.len() == count;
    for metric in missing.undefined {
        results.undefined(&name, metric, nothing_else);
    }
    Ok(())
}

/// Drives the load of the point and hands its windows to one metric, unless it turns out to be undefined.
fn drive_load(
    point: &Point<'_>,
    group: &mut MetricGroup<'_>,
    progress: &mut Progress,
    results: &mut Results,
    missing: &mut MetricsWithoutResult,
) -> Result<Vec<Window>, Aborted> {
    let context = point.context;
    let windows = match &context.meeting {
        Some(meeting) => distributed::lead(point, meeting, progress, results)?,
        // Criterion wants tok/s of each window at once. A server that has to count them is asked when
        // the load is over, so it must be over before Criterion begins.
        None if context.fixture()?.counter.asks_a_server() => {
            let fixture = context.fixture()?;
            let mut windows = direct::run(point, fixture, 0, progress, results);
            let samples = context.args.sampling().windows;
            windows.truncate(samples);
            match windows.len() < samples {
                // Criterion would take repeated windows for new ones.
                true => Vec::new(),
                false => windows,
            }
        }
        None => {
            let (windows, is_defined) = live::run(point, group, progress, results)?;
            if !is_defined {
                missing.undefined.push(group.metric);
            }
            return Ok(windows);
        }
    };
    replay_windows(point, group, results, &windows, missing);
    Ok(windows)
}

/// Feeds another metric from the windows of the load that has run.
fn replay_windows(
    point: &Point<'_>,
    group: &mut MetricGroup<'_>,
    results: &mut Results,
    windows: &[Window],
    missing: &mut MetricsWithoutResult,
) {
    let (metric, interrupt) = (group.metric, &point.context.interrupt);
    // A point that failed, or was cut short, was reported when it was.
    if windows.is_empty() || !windows.iter().all(Window::has_success) {
        return;
    }
    let Some(mut replay) = Replay::new(metric, windows) else {
        return missing.undefined.push(metric);
    };
    if interrupt.came() {
        return missing.interrupted.push(metric);
    }
    // Half an iteration less than the plan, as Criterion rounds up. A plan of one iteration would make
    // it advise a longer measurement, which the live run has done where it is due.
    let iterations = replay.rounds().max(2) as f64 - 0.5;
    let samples = windows.len() as f64;
    let measurement = REPLAY_PACE.mul_f64(iterations * samples);
    group.plan(Duration::from_nanos(1), measurement);
    let failed = group.bench(&point.info, results, |iterations, phase| {
        if interrupt.came() {
            std::panic::resume_unwind(Box::new(PointFailed::Interrupted));
        }
        replay.sample(metric, iterations, phase)
    });
    if failed == Some(PointFailed::Interrupted) {
        missing.interrupted.push(metric);
    }
}
