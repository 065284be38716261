//! Two deployments measured in turns, so that what happens to the machine happens to both.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::budget::{Budget, BudgetPlan, Spent, median_latency};
use super::interruptible_load::InterruptibleLoad;
use super::missing_tokens::count_missing_tokens;
use super::observation::LoadObservation;
use crate::bench::outcome::{self, DrivenBy, Measured, Results};
use crate::bench::point::Point;
use crate::bench::progress::Progress;
use crate::fixture::{Fixture, Side};
use crate::load::{Rounds, Window};
use crate::metrics::Unanswered;
use crate::prompt;

/// Each side sends the same sequence of lengths.
const SIDES: [prompt::Side; 2] = [prompt::Side::First, prompt::Side::Second];

/// Measures a point on both deployments of an A/B run in turns, and keeps the result of each.
pub fn run(
    point: &Point<'_>,
    fixture: &Fixture,
    sides: &[Side; 2],
    run: u32,
    progress: &mut Progress,
    results: &mut Results,
) {
    let (context, name) = (point.context, point.info.name());
    let [before, after] = sides.each_ref().map(|side| &side.name);
    let what = format!("run {} · {before} and {after} in turns", run + 1);
    progress.announce(&point.info, &what);
    let drawn = fixture.seed ^ (u64::from(point.info.ordinal) << 8) ^ u64::from(run);
    let mut order = StdRng::seed_from_u64(drawn);
    let lengths = match point.requests(fixture, prompt::Side::First) {
        Ok(requests) => requests.source.lengths(),
        Err(message) => return results.cannot_run_again(&name, &message),
    };
    let meter = progress.meter();
    meter.show("measuring");
    let observation = LoadObservation::begin(fixture, true);
    let sampling = context.args.sampling();
    let time = TurnsTime::new(BudgetPlan::of(point, sampling));
    let start = |side: usize, _| {
        let requests = point.requests(fixture, SIDES[side])?;
        let endpoints = &sides[side].endpoints;
        let load = InterruptibleLoad::start(point, fixture, endpoints, requests, &meter)?;
        Ok::<_, String>(Turn::new(load, &time, side))
    };
    let both = sampling.in_turns(&mut order, start);
    meter.hide();
    let mut both = match both {
        Ok(both) => both,
        Err(message) => return results.cannot_run_again(&name, &message),
    };
    let (partial, spent) = (context.interrupt.why_partial(), time.spent.get());
    if partial.is_some() || spent.is_some() {
        drop_cut(&mut both);
    }
    let observed = observation.end(fixture, || ());
    let self_check = observed.client.check(&both.concat());
    count_missing_tokens(both.iter_mut().flatten(), fixture);
    progress.point_done();
    let failed = both
        .each_ref()
        .map(|windows| results.warn_if_failed(&name, windows));
    let pairs = both[0].len().min(both[1].len());
    if failed == [false, false] {
        // A window without its pair tells nothing, unless it tells of failures.
        both.iter_mut().for_each(|windows| windows.truncate(pairs));
    }
    let partial = partial.filter(|_| pairs < sampling.windows);
    let spent = spent.filter(|_| pairs < sampling.windows);
    let over_time = spent.map(|spent| spent.describe(pairs, sampling.windows));
    match (&partial, &over_time) {
        (Some(why), _) | (None, Some(why)) if pairs == 0 => results.not_measured(&name, why),
        (_, Some(why)) => results.over_time(&name, why),
        _ => {}
    }
    let unanswered = time.unanswered.into_inner();
    for ((side, windows), unanswered) in sides.iter().zip(both).zip(unanswered) {
        let outages = outcome::outages(&windows, &side.endpoints, Some(&unanswered));
        if pairs == 0 {
            for outage in outages {
                results.warn_of_run(format!("{name} · {}: {outage}", side.name));
            }
            continue;
        }
        let measured = Measured {
            lengths,
            expected: point.template(fixture, &side.endpoints).expected_answer(),
            endpoints: &side.endpoints,
            windows: &windows,
            servers: observed.servers.of(side.place.clone()),
            self_check: Some(self_check.clone()),
            outages,
            origin: DrivenBy::InTurns { side: &side.name },
            partial: partial.clone(),
        };
        results.add(&point.info, fixture, measured);
    }
}

/// The time of a point that is measured in turns.
struct TurnsTime {
    plan: BudgetPlan,
    /// The budget of all turns after the first warm-up, and when it is over.
    budget: Cell<Option<(Budget, Option<Instant>)>>,
    /// The budget that was over before the last turn.
    spent: Cell<Option<Spent>>,
    /// Requests of each side that ended without an answer.
    unanswered: RefCell<[Vec<Unanswered>; 2]>,
}

impl TurnsTime {
    fn new(plan: BudgetPlan) -> TurnsTime {
        TurnsTime {
            plan,
            budget: Cell::new(None),
            spent: Cell::new(None),
            unanswered: RefCell::default(),
        }
    }
}

/// The load of a turn. All turns share a budget.
struct Turn<'a> {
    load: InterruptibleLoad<'a>,
    time: &'a TurnsTime,
    side: usize,
}

impl<'a> Turn<'a> {
    fn new(mut load: InterruptibleLoad<'a>, time: &'a TurnsTime, side: usize) -> Turn<'a> {
        if let Some((budget, at)) = time.budget.get() {
            load.limit(budget, at);
        }
        Turn { load, time, side }
    }
}

impl Rounds for Turn<'_> {
    fn window(&mut self, rounds: u64) -> Window {
        let window = self.load.window(rounds);
        self.time.spent.set(self.load.spent());
        self.time.unanswered.borrow_mut()[self.side].extend(self.load.take_unanswered());
        window
    }

    fn is_over(&self) -> bool {
        self.load.is_over()
    }

    fn warmed_up(&mut self, warm_up: &Window, rounds: u64) {
        if self.time.budget.get().is_some() {
            return;
        }
        let latency = median_latency(warm_up.completed());
        let budget = self.time.plan.turns(latency, rounds);
        let at = budget.over_at(Instant::now());
        self.time.budget.set(Some((budget, at)));
        self.load.limit(budget, at);
    }
}

/// Drops the window that was cut short by a signal or the end of the point's time, the last of a side.
fn drop_cut(both: &mut [Vec<Window>; 2]) {
    let whole = both.iter().flatten().map(|window| window.rounds).max();
    for windows in both {
        windows.pop_if(|last| Some(last.rounds) < whole);
    }
}
