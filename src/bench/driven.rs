//! A point's load driven without Criterion: its further runs, and two deployments in turns.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::point::Point;
use super::progress::Progress;
use super::record;
use super::results::{Measured, Origin, Results, ServersSaid};
use super::target::Serving;
use super::windows::{count_missing_tokens, succeeding_window};
use crate::client::FailureCause;
use crate::endpoint::Endpoints;
use crate::fixture::{self, Fixture, LOAD_THREADS, Sampler, Scrape, Side};
use crate::load::{Load, Rounds, Sampling, SelfCheck, Watch, Window};
use crate::prompt::PromptSource;
use crate::ranks::Share;

/// Turns between the prompts of one run and those of the next.
const TURNS_PER_RUN: u64 = 40;

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
    sampler: Sampler,
}

impl Around {
    fn begin(fixture: &Fixture) -> Around {
        Around {
            before: fixture.scrape(),
            watch: Watch::start(fixture.runtime.handle(), LOAD_THREADS),
            sampler: fixture.sample(),
        }
    }

    fn end(self, fixture: &Fixture, windows: &[Window]) -> Seen {
        let watched = self.watch.stop();
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
        let Some(windows) = self.succeeded(windows, results) else {
            return;
        };
        let measured = Measured {
            prompt_tokens,
            endpoints: &fixture.endpoints,
            windows: &windows,
            servers: seen.servers,
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
            // Both sides of a pair get the same prompts; their caches have nothing in common.
            let turn = u64::from(run) * TURNS_PER_RUN + turns / 2;
            turns += 1;
            let source = self.source(fixture)?;
            prompt_tokens = source.tokens();
            self.patient(fixture, &sides[side].endpoints, source, turn)
        };
        let both = self.session.args.sampling().in_turns(&mut order, start);
        let both = both.unwrap_or_else(|message| {
            let cause = FailureCause::Prompt.to_string();
            results.add_unmeasured(self, fixture, &cause, message);
            Default::default()
        });
        let seen = around.end(fixture, &both.concat());
        progress.point_done();
        let [first, second] = both.map(|windows| self.succeeded(windows, results));
        let (Some(first), Some(second)) = (first, second) else {
            return;
        };
        for (side, windows) in sides.iter().zip([first, second]) {
            let measured = Measured {
                prompt_tokens,
                endpoints: &side.endpoints,
                windows: &windows,
                servers: seen.servers.of(side.place.clone()),
                self_check: Some(seen.self_check.clone()),
                origin: Origin::InTurns {
                    side: &side.name,
                    session,
                },
            };
            results.add(self, fixture, measured);
        }
    }

    /// The windows, if all had a success; else says that the run ended early.
    fn succeeded(&self, windows: Vec<Window>, results: &mut Results) -> Option<Vec<Window>> {
        let all = windows
            .iter()
            .all(|window| window.completed().next().is_some());
        if windows.is_empty() || !all {
            results.run_failed(&self.name(), windows.last());
            return None;
        }
        Some(windows)
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
