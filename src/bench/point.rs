//! A point of a run: a prompt at a level.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::context::RunContext;
use super::point_info::PointInfo;
use crate::client::PayloadTemplate;
use crate::config::{FixedOutput, SteadyStart};
use crate::endpoint::Endpoints;
use crate::fixture::Fixture;
use crate::level::Level;
use crate::load::{Arrivals, Constructor, Pacing, steady};
use crate::prompt::{NamedPrompt, PromptSeries, PromptSource, Side, SourceOptions};
use crate::ranks::Share;
use crate::terminal::Spinner;

/// Makes the seed of arrivals another than that of prompts.
const ARRIVALS_SEED: u64 = 0xA221_7A15;

/// A prompt at a level, in its run. Its load runs once, whatever metrics are measured.
pub struct Point<'a> {
    pub context: &'a RunContext,
    pub info: PointInfo<'a>,
    pub prompt: &'a NamedPrompt,
}

impl<'a> Point<'a> {
    /// The point of `context` that `info` describes.
    pub fn new(context: &'a RunContext, info: PointInfo<'a>) -> Point<'a> {
        let levels = context.config.levels().len();
        let prompt = info.ordinal as usize / levels;
        Point::of_prompt(context, info, prompt)
    }

    /// The point of this prompt of `context`, whatever its ordinal.
    pub fn of_prompt(context: &'a RunContext, info: PointInfo<'a>, prompt: usize) -> Point<'a> {
        Point {
            context,
            prompt: &context.prompts[prompt],
            info,
        }
    }

    /// The most requests in flight.
    pub fn most_in_flight(&self) -> NonZeroUsize {
        self.context.config.most_in_flight(self.info.level)
    }

    /// The pacing of a share of its load, which begins at `begin_ns`.
    pub fn pacing(&self, share: &Share, seed: u64, begin_ns: u64) -> Pacing {
        let (config, concurrency) = (&self.context.config, share.concurrency);
        match (self.info.level, &config.load_shape.constructor) {
            (Level::Rate(rate), Constructor::Open(new)) if !rate.is_max() => {
                // Arrivals that are not those of another point, nor related to the prompts.
                let seed = seed ^ (u64::from(self.info.ordinal) << 32) ^ ARRIVALS_SEED;
                let all = Arrivals::new(rate.per_second(), config.arrivals, seed);
                let (first, step) = share.arrivals();
                let arrivals = all.after(config.ramp).thinned(first, step);
                new(begin_ns, concurrency, arrivals)
            }
            (_, Constructor::Closed(new)) => new(begin_ns, concurrency, config.start),
            (_, Constructor::Open(_)) => steady(begin_ns, concurrency, SteadyStart::Together),
        }
    }

    /// Requests after which a round of the whole load ends, in whatever process; `None` where rounds take equal times.
    pub fn round(&self) -> Option<NonZeroUsize> {
        match self.info.level {
            Level::Rate(rate) if !rate.is_max() => None,
            level => Some(self.context.config.most_in_flight(level)),
        }
    }

    /// Mean time between two arrivals of an open loop; zero for a closed loop.
    pub fn gap(&self) -> Duration {
        match self.info.level {
            Level::Rate(rate) => {
                Duration::try_from_secs_f64(1.0 / rate.per_second()).unwrap_or(Duration::MAX)
            }
            Level::Concurrency(_) => Duration::ZERO,
        }
    }

    /// How many requests of a share are prepared before they are sent.
    pub fn prepared_ahead(&self, share: &Share) -> usize {
        // Deep enough that a whole round can start at once, twice.
        let rounds = 2 * share.concurrency.get() + 16;
        match self.info.level {
            // Two seconds of arrivals: all that may be in flight would fill the memory with prompts.
            Level::Rate(rate) => rounds.min((2.0 * rate.per_second() + 64.0) as usize),
            Level::Concurrency(_) => rounds,
        }
    }

    /// Returns requests of the point for one load. The first call prepares the requests of all points.
    ///
    /// # Errors
    /// Why there are no requests.
    pub fn requests(&self, fixture: &Fixture, side: Side) -> Result<PromptSeries, String> {
        prepare_prompts(self.context, fixture);
        Ok(PromptSeries {
            source: self.prepared(fixture)?,
            indices: self.prompt.indices(self.info.ordinal, side),
        })
    }

    fn prepared(&self, fixture: &Fixture) -> Result<Arc<dyn PromptSource>, String> {
        self.prompt.source(&SourceOptions {
            prefix_cache: self.context.config.prefix_cache,
            seed: fixture.seed,
            max_model_len: fixture.endpoints.max_model_len(),
            counter: &fixture.counter,
        })
    }

    /// Returns the template shared by the point's requests.
    pub fn template(&self, fixture: &Fixture, endpoints: &Endpoints) -> PayloadTemplate {
        let config = &self.context.config;
        let fixed_output = match config.fixed_output {
            FixedOutput::On => true,
            FixedOutput::Off => false,
            FixedOutput::Auto => fixture.all_vllm(),
        };
        PayloadTemplate::new(config, self.info.dialect, endpoints.model(), fixed_output)
    }
}

/// Makes the prompts of every point that will run, once, so that no load shares its servers with the questions
/// that this takes where a server counts tokens.
fn prepare_prompts(context: &RunContext, fixture: &Fixture) {
    let points = context.selected().map(|info| Point::new(context, info));
    let mut due = points.filter(|point| !point.prompt.is_ready()).peekable();
    let asks = due.peek().is_some() && fixture.counter.asks_a_server();
    let _spinner = asks.then(|| {
        Spinner::start("preparing prompts: the server's /tokenize counts a few hundred short texts")
    });
    for point in due {
        // An error of a prompt is reported at its points.
        let _ = point.prepared(fixture);
    }
}
