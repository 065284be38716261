//! A point's load driven without Criterion: `servemark run`, a bench's further runs, and two deployments in
//! turns.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::interrupt::Interrupt;
use super::meter::Meter;
use super::point::Point;
use super::progress::Progress;
use super::results::{Measured, Origin, Results, ServersSaid};
use super::target::Serving;
use super::windows::{Reached, count_missing_tokens, estimate_missing_tokens, succeeding_window};
use crate::client::FailureCause;
use crate::endpoint::Endpoints;
use crate::fixture::{self, Fixture, LOAD_THREADS, Sampler, Scrape, Side};
use crate::load::{Load, Rounds, Sampling, SelfCheck, Watch, Window};
use crate::prompt::PromptSource;
use crate::ranks::Share;

/// A load whose windows have a success, if the servers give any; it is over when the run is interrupted.
struct Patient<'a> {
    load: Load<Serving>,
    patience: Duration,
    interrupt: &'a Interrupt,
    meter: &'a Meter,
}

impl Rounds for Patient<'_> {
    fn window(&mut self, iterations: u64) -> Window {
        let mut rounds = RoundByRound {
            load: &mut self.load,
            interrupt: self.interrupt,
        };
        let window = succeeding_window(&mut rounds, iterations, self.patience);
        self.meter.window_done();
        window
    }

    fn is_over(&self) -> bool {
        self.interrupt.came()
    }
}

/// A load whose windows end with the round under way when the run is interrupted.
struct RoundByRound<'a> {
    load: &'a mut Load<Serving>,
    interrupt: &'a Interrupt,
}

impl Rounds for RoundByRound<'_> {
    fn window(&mut self, iterations: u64) -> Window {
        let mut window = self.load.window(1);
        while window.iterations < iterations && !self.interrupt.came() {
            window.extend(self.load.window(1));
        }
        window
    }
}

/// What was seen around some windows.
struct Around {
    before: Vec<Scrape>,
    watch: Watch,
    sampler: Sampler,
}

impl Around {
    fn begin(fixture: &Fixture) -> Around {
        let before = fixture.scrape();
        Around {
            watch: Watch::start(fixture.runtime.handle(), LOAD_THREADS),
            sampler: fixture.sample(&before),
            before,
        }
    }

    /// The load, if one still runs, is dropped once the client is no longer watched.
    fn end<L>(self, fixture: &Fixture, windows: &[Window], load: L) -> Seen {
        let watched = self.watch.stop();
        drop(load);
        Seen {
            self_check: watched.check(windows),
            servers: ServersSaid {
                timeline: self.sampler.stop(),
                intervals: fixture::intervals(&[self.before, fixture.scrape()]),
            },
        }
    }
}

struct Seen {
    self_check: SelfCheck,
    servers: ServersSaid,
}

impl Point<'_> {
    /// Runs the load without Criterion and keeps what came of it; returns its windows. The first run of a
    /// point plans itself; a further one is as long as the first.
    pub(super) fn run_alone(
        &self,
        fixture: &Fixture,
        run: u32,
        progress: &mut Progress,
        results: &mut Results,
    ) -> Vec<Window> {
        let plan = results.plan_of(self);
        // What failed in the first run was reported then.
        if run > 0 && plan.is_none() {
            return Vec::new();
        }
        let plan = plan.filter(|_| run > 0);
        let against = match self.session.config.runs.get() {
            1 => fixture.describe(),
            _ => format!("run {} · {}", run + 1, fixture.describe()),
        };
        progress.announce(self, &against);
        let meter = progress.meter();
        let started = self.source(fixture).and_then(|source| {
            let tokens = source.tokens();
            let load = self.patient(fixture, &fixture.endpoints, source, &meter)?;
            Ok((tokens, load))
        });
        let (prompt_tokens, load) = match started {
            Ok(started) => started,
            Err(message) => {
                match run {
                    0 => {
                        let cause = FailureCause::Prompt.to_string();
                        results.add_unmeasured(self, fixture, &cause, message);
                    }
                    _ => results.cannot_run_again(&self.name(), &message),
                }
                return Vec::new();
            }
        };
        let is_planned = plan.is_some();
        let (mut windows, seen) = self.measure_alone(fixture, load, plan);
        count_missing_tokens(windows.iter_mut().flat_map(|w| &mut w.requests), fixture);
        if let (Some(wanted), false) = (&self.session.config.precision, is_planned)
            && windows.first().is_some_and(has_success)
        {
            results.note(&self.name(), &Reached::of(&windows).describe(wanted));
        }
        progress.point_done();
        let Some(windows) = self.uninterrupted(windows, results) else {
            return Vec::new();
        };
        // A first run without any success is a point that failed, which its row says.
        if run > 0 || windows.len() > 1 {
            self.say_if_failed(&windows, results);
        }
        if windows.is_empty() {
            return windows;
        }
        let measured = Measured {
            prompt_tokens,
            endpoints: &fixture.endpoints,
            windows: &windows,
            servers: seen.servers,
            self_check: Some(seen.self_check),
            origin: Origin::Alone,
        };
        results.add(self, fixture, measured);
        windows
    }

    /// Warms the load up, takes its windows and stops it. `plan` is how many windows and the rounds of each,
    /// where an earlier run has shown.
    fn measure_alone(
        &self,
        fixture: &Fixture,
        mut load: Patient<'_>,
        plan: Option<(usize, u64)>,
    ) -> (Vec<Window>, Seen) {
        let (sampling, meter) = (self.session.args.sampling(), load.meter);
        meter.show("warm-up");
        let warm_up = sampling.warm_up(&mut load);
        meter.show("measuring");
        meter.plan(plan.map_or(sampling.windows, |(windows, _)| windows));
        let around = Around::begin(fixture);
        let windows = match plan {
            Some((windows, rounds)) => Sampling {
                windows,
                ..sampling
            }
            .windows(&mut load, rounds),
            None if warm_up.completed().next().is_none() => vec![warm_up],
            None => {
                let rounds = sampling.iterations(&warm_up);
                let mut windows = sampling.windows(&mut load, rounds);
                self.extend(&mut windows, &mut load, rounds);
                windows
            }
        };
        meter.hide();
        let seen = around.end(fixture, &windows, load);
        (windows, seen)
    }

    /// Goes on sampling until tok/s is known as well as `PRECISION` asks, if it does.
    fn extend(&self, windows: &mut Vec<Window>, load: &mut Patient<'_>, rounds: u64) {
        let Some(wanted) = &self.session.config.precision else {
            return;
        };
        for window in windows.iter_mut() {
            estimate_missing_tokens(&mut window.requests);
        }
        while !Reached::of(windows).suffices(wanted)
            && !load.is_over()
            && windows.last().is_some_and(has_success)
        {
            let mut window = load.window(rounds);
            estimate_missing_tokens(&mut window.requests);
            windows.push(window);
        }
    }

    /// The windows without one that Ctrl-C has cut short, unless it is the only one; `None` where Ctrl-C
    /// came before any.
    fn uninterrupted(
        &self,
        mut windows: Vec<Window>,
        results: &mut Results,
    ) -> Option<Vec<Window>> {
        if self.session.interrupt.came() {
            results.interrupted(&self.name(), windows.len());
            let whole = windows.first()?.iterations;
            windows.pop_if(|last| last.iterations < whole);
        }
        Some(windows)
    }

    /// Measures both deployments of an A/B run in turns.
    pub(super) fn run_in_turns(
        &self,
        fixture: &Fixture,
        sides: &[Side; 2],
        run: u32,
        progress: &mut Progress,
        results: &mut Results,
    ) {
        let [before, after] = sides;
        let what = format!(
            "run {} · {} and {} in turns",
            run + 1,
            before.name,
            after.name
        );
        progress.announce(self, &what);
        let mut order =
            StdRng::seed_from_u64(fixture.seed ^ (u64::from(self.ordinal) << 8) ^ u64::from(run));
        let source = match self.source(fixture) {
            Ok(source) => source,
            Err(message) => return results.cannot_run_again(&self.name(), &message),
        };
        let prompt_tokens = source.tokens();
        let meter = progress.meter();
        meter.show("measuring");
        let around = Around::begin(fixture);
        let start = |side: usize, _| {
            let source = Arc::clone(&source);
            self.patient(fixture, &sides[side].endpoints, source, &meter)
        };
        let both = self.session.args.sampling().in_turns(&mut order, start);
        meter.hide();
        let both = match both {
            Ok(both) => both,
            Err(message) => return results.cannot_run_again(&self.name(), &message),
        };
        let seen = around.end(fixture, &both.concat(), ());
        let mut both = both;
        let requests = both.iter_mut().flatten().flat_map(|w| &mut w.requests);
        count_missing_tokens(requests, fixture);
        progress.point_done();
        let failed = both
            .each_ref()
            .map(|windows| self.say_if_failed(windows, results));
        let pairs = both[0].len().min(both[1].len());
        if failed == [false, false] {
            // A window without its pair tells nothing, unless it tells of failures.
            both.iter_mut().for_each(|windows| windows.truncate(pairs));
        }
        for (side, windows) in sides.iter().zip(both).filter(|_| pairs > 0) {
            let measured = Measured {
                prompt_tokens,
                endpoints: &side.endpoints,
                windows: &windows,
                servers: seen.servers.of(side.place.clone()),
                self_check: Some(seen.self_check.clone()),
                origin: Origin::InTurns { side: &side.name },
            };
            results.add(self, fixture, measured);
        }
    }

    /// Says that the last window is without any success, if it is, and so ended the run. Its failures and its
    /// time stay in the figures.
    fn say_if_failed(&self, windows: &[Window], results: &mut Results) -> bool {
        let failed = windows.last().filter(|window| !has_success(window));
        if let Some(last) = failed {
            results.run_failed(&self.name(), last);
        }
        failed.is_some()
    }

    fn patient<'a>(
        &'a self,
        fixture: &'a Fixture,
        endpoints: &Endpoints,
        source: Arc<PromptSource>,
        meter: &'a Meter,
    ) -> Result<Patient<'a>, String> {
        let share = Share::whole(self.concurrency);
        let target = self.target(fixture, endpoints, source, &share);
        let target = target.map_err(|error| error.to_string())?;
        let load = self.start(fixture, target, &share);
        meter.follow(load.gauge());
        Ok(Patient {
            load,
            patience: self.patience(),
            interrupt: &self.session.interrupt,
            meter,
        })
    }
}

fn has_success(window: &Window) -> bool {
    window.completed().next().is_some()
}
