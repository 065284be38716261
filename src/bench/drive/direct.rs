//! A point's load driven by this process alone, without Criterion: `servemark run`, and a bench's further runs.

use std::time::{Duration, Instant};

use super::budget::{Budget, BudgetPlan, median_latency};
use super::interruptible_load::InterruptibleLoad;
use super::load_result::LoadResult;
use super::missing_tokens::{count_missing_tokens, estimate_missing_tokens};
use super::observation::LoadObservation;
use super::precision::PrecisionReached;
use crate::bench::outcome::Results;
use crate::bench::point::Point;
use crate::bench::progress::{Meter, Progress};
use crate::client::FailureCause;
use crate::fixture::Fixture;
use crate::load::{Rounds, Sampling, Window};
use crate::prompt::{RequestLengths, Side};

/// Runs the load and keeps its result; returns its windows. The first run of a point plans itself; a further one is
/// as long as the first.
pub fn run(
    point: &Point<'_>,
    fixture: &Fixture,
    run: u32,
    progress: &mut Progress,
    results: &mut Results,
) -> Vec<Window> {
    let (context, info) = (point.context, &point.info);
    let plan = results.plan_of(info);
    // Failures of the first run have been reported.
    if run > 0 && plan.is_none() {
        return Vec::new();
    }
    let plan = plan.filter(|_| run > 0);
    let against = match context.config.runs.get() {
        1 => fixture.describe(),
        _ => format!("run {} · {}", run + 1, fixture.describe()),
    };
    progress.announce(info, &against);
    let meter = progress.meter();
    let started = point.requests(fixture, Side::First).and_then(|requests| {
        let lengths = requests.source.lengths();
        let endpoints = &fixture.endpoints;
        let load = InterruptibleLoad::start(point, fixture, endpoints, requests, &meter)?;
        Ok((lengths, load))
    });
    match started {
        Ok((lengths, load)) => {
            let result = measure(point, fixture, (lengths, load), &meter, plan);
            result.keep(point, fixture, run > 0, progress, results)
        }
        Err(message) => {
            match run {
                0 => {
                    let cause = FailureCause::Prompt.to_string();
                    results.add_unmeasured(info, fixture, &cause, message);
                }
                _ => results.cannot_run_again(&info.name(), &message),
            }
            Vec::new()
        }
    }
}

/// Warms the load up, takes its windows and stops it. `plan` is how many windows and the rounds of each, where an
/// earlier run has shown.
fn measure(
    point: &Point<'_>,
    fixture: &Fixture,
    (lengths, mut load): (RequestLengths, InterruptibleLoad<'_>),
    meter: &Meter,
    plan: Option<(usize, u64)>,
) -> LoadResult {
    let mut sampling = point.context.args.sampling();
    meter.show("warm-up");
    let warm_up = sampling.warm_up(&mut load);
    meter.show("measuring");
    let rounds = match plan {
        Some((windows, rounds)) => {
            sampling.windows = windows;
            Some(rounds)
        }
        None => warm_up.has_success().then(|| sampling.rounds(&warm_up)),
    };
    meter.plan(sampling.windows);
    let observation = LoadObservation::begin(fixture, true);
    let mut windows = match rounds {
        _ if load.spent().is_some() => vec![warm_up],
        _ if load.is_over() => Vec::new(),
        None => vec![warm_up],
        Some(rounds) => {
            let budget = budget_of(point, &[warm_up], &sampling, rounds, plan.is_none());
            load.limit(budget, budget.over_at(Instant::now()));
            let mut windows = sampling.windows(&mut load, rounds);
            if plan.is_none() {
                extend(point, &mut windows, &mut load, rounds);
            }
            windows
        }
    };
    meter.hide();
    let is_cut = load.is_cut();
    let spent = load.spent();
    let spent = spent.filter(|_| is_cut || windows.len() < sampling.windows);
    let mut unanswered = Vec::new();
    let observed = observation.end(fixture, || unanswered = load.abandon());
    count_missing_tokens(&mut windows, fixture);
    let context = point.context;
    let precision = context.config.precision.filter(|_| plan.is_none());
    let whole = windows.len() - usize::from(is_cut && !windows.is_empty());
    let is_enough = whole >= sampling.windows
        && precision.is_none_or(|wanted| PrecisionReached::of(&windows[..whole]).suffices(&wanted));
    LoadResult {
        lengths,
        windows,
        is_cut,
        is_interrupted: context.interrupt.came() && (is_cut || !is_enough),
        observed: Some(observed),
        unanswered,
        spent,
        precision,
    }
}

/// The longest that the point's windows may take, as its warm-up shows.
pub fn budget_of(
    point: &Point<'_>,
    warm_up: &[Window],
    sampling: &Sampling,
    rounds: u64,
    may_extend: bool,
) -> Budget {
    let config = &point.context.config;
    let precision = config.precision.filter(|_| may_extend);
    let precision = precision.map_or(Duration::ZERO, |precision| precision.budget);
    let latency = median_latency(warm_up.iter().flat_map(Window::completed));
    BudgetPlan::of(point, *sampling).windows(latency, rounds, precision)
}

/// Goes on sampling until tok/s is known as well as `PRECISION` asks, if it does.
fn extend(
    point: &Point<'_>,
    windows: &mut Vec<Window>,
    load: &mut InterruptibleLoad<'_>,
    rounds: u64,
) {
    let Some(wanted) = &point.context.config.precision else {
        return;
    };
    for window in windows.iter_mut() {
        estimate_missing_tokens(window);
    }
    while !PrecisionReached::of(windows).suffices(wanted)
        && !load.is_over()
        && windows.last().is_some_and(Window::has_success)
    {
        let mut window = load.window(rounds);
        estimate_missing_tokens(&mut window);
        windows.push(window);
    }
}
