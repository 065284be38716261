//! A point's load driven without Criterion: its further runs, and two deployments in turns.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::point::Point;
use super::progress::Progress;
use super::record;
use super::results::{Measured, Origin, Results};
use super::target::Serving;
use super::windows::{count_missing_tokens, succeeding_window};
use crate::endpoint::Endpoints;
use crate::fixture::{self, Fixture, LOAD_THREADS, Scrape, Side};
use crate::load::{Load, Rounds, Sampling, SelfCheck, Watch, Window};
use crate::prompt::PromptSource;
use crate::ranks::Share;

/// Turns between the prompts of one run and those of the next.
const TURNS_PER_RUN: u64 = 160;

/// A load whose windows have a success, if the servers give any.
struct Patient<'a> {
    load: Load<Serving>,
    fixture: &'a Fixture,
    patience: Duration,
}

impl Rounds for Patient<'_> {
    fn window(&mut self, iterations: u64) -> Window {
        let mut window = succeeding_window(&mut self.load, iterations, self.patience);
        count_missing_tokens(&mut window.requests, self.fixture);
        window
    }
}

/// What was seen around some windows.
struct Around {
    before: Vec<Scrape>,
    watch: Watch,
}

impl Around {
    fn begin(fixture: &Fixture) -> Around {
        Around {
            before: fixture.scrape(),
            watch: Watch::start(fixture.runtime.handle(), LOAD_THREADS),
        }
    }

    fn end(self, fixture: &Fixture, windows: &[Window]) -> Seen {
        let watched = self.watch.stop();
        Seen {
            self_check: watched.check(windows),
            scrapes: vec![self.before, fixture.scrape()],
        }
    }
}

struct Seen {
    self_check: SelfCheck,
    scrapes: Vec<Vec<Scrape>>,
}

impl Point<'_> {
    /// Runs the load once more, as long as in the first run, which Criterion has planned.
    pub(super) fn run_again(
        &self,
        fixture: &Fixture,
        run: u32,
        progress: &mut Progress,
        results: &mut Results,
    ) {
        // What failed in the first run was reported then.
        let Some((windows, iterations)) = results.plan_of(self) else {
            return;
        };
        progress.announce(self, &format!("run {} · {}", run + 1, fixture.describe()));
        let sampling = Sampling {
            windows,
            ..self.session.args.sampling()
        };
        let started = self.source(fixture).and_then(|source| {
            let tokens = source.tokens();
            let turn = u64::from(run) * TURNS_PER_RUN;
            let load = self.patient(fixture, &fixture.endpoints, source, turn)?;
            Ok((tokens, load))
        });
        let (prompt_tokens, mut load) = match started {
            Ok(started) => started,
            Err(message) => return results.cannot_run_again(&self.name(), &message),
        };
        sampling.warm_up(&mut load);
        let around = Around::begin(fixture);
        let windows = sampling.windows(&mut load, iterations);
        let seen = around.end(fixture, &windows);
        drop(load);
        progress.point_done();
        let windows = self.succeeded(windows, results);
        if windows.is_empty() {
            return;
        }
        let measured = Measured {
            prompt_tokens,
            endpoints: &fixture.endpoints,
            windows: &windows,
            server_metrics: fixture::intervals(&seen.scrapes),
            self_check: Some(seen.self_check),
            origin: Origin::Alone,
        };
        results.add(self, fixture, measured);
    }

    /// Measures both deployments of an A/B run in turns.
    pub(super) fn run_in_turns(
        &self,
        fixture: &Fixture,
        sides: &[Side; 2],
        run: u32,
        session: &str,
        progress: &mut Progress,
        results: &mut Results,
    ) {
        if run == 0 {
            // What earlier sessions left is not of this one; a point that fails must leave nothing.
            for side in sides {
                let _ = std::fs::remove_file(record::path(self, &side.name));
            }
        }
        let [before, after] = sides;
        let what = format!(
            "run {} · {} and {} in turns",
            run + 1,
            before.name,
            after.name
        );
        progress.announce(self, &what);
        let mut order = StdRng::seed_from_u64(fixture.seed ^ (self.ordinal << 8) ^ u64::from(run));
        let (mut turns, mut prompt_tokens) = (0, 0);
        let around = Around::begin(fixture);
        let start = |side: usize, _| {
            let turn = u64::from(run) * TURNS_PER_RUN + turns;
            turns += 1;
            let source = self.source(fixture)?;
            prompt_tokens = source.tokens();
            self.patient(fixture, &sides[side].endpoints, source, turn)
        };
        let both = self.session.args.sampling().in_turns(&mut order, start);
        let both = match both {
            Ok(both) => both,
            Err(message) => return results.cannot_run_again(&self.name(), &message),
        };
        let seen = around.end(fixture, &both.concat());
        progress.point_done();
        let intervals = fixture::intervals(&seen.scrapes);
        let mut both = both.map(|windows| self.succeeded(windows, results));
        // A window without its pair says nothing.
        let pairs = both[0].len().min(both[1].len());
        both.iter_mut().for_each(|windows| windows.truncate(pairs));
        for (side, windows) in sides.iter().zip(both).filter(|_| pairs > 0) {
            let measured = Measured {
                prompt_tokens,
                endpoints: &side.endpoints,
                windows: &windows,
                server_metrics: intervals
                    .get(side.place.clone())
                    .unwrap_or_default()
                    .to_vec(),
                self_check: Some(seen.self_check.clone()),
                origin: Origin::InTurns {
                    side: &side.name,
                    session,
                },
            };
            results.add(self, fixture, measured);
        }
    }

    /// The windows up to one without any success, if there is one, which is said.
    fn succeeded(&self, mut windows: Vec<Window>, results: &mut Results) -> Vec<Window> {
        let failed = |window: &Window| window.completed().next().is_none();
        if let Some(last) = windows.pop_if(|window| failed(window)) {
            results.run_failed(&self.name(), &last);
        }
        windows
    }

    fn source(&self, fixture: &Fixture) -> Result<PromptSource, String> {
        let source = self.prompt.source(fixture, &self.session.config);
        source.map_err(|error| error.to_string())
    }

    fn patient<'a>(
        &self,
        fixture: &'a Fixture,
        endpoints: &Endpoints,
        source: PromptSource,
        turn: u64,
    ) -> Result<Patient<'a>, String> {
        let share = Share::whole(self.concurrency);
        let target = self.target(fixture, endpoints, source, &share, turn);
        let target = target.map_err(|error| error.to_string())?;
        Ok(Patient {
            load: self.start(fixture, target, &share),
            fixture,
            patience: self.patience(),
        })
    }
}
