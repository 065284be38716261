//! A point of a run: a prompt at a level.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::context::RunContext;
use super::point_info::PointInfo;
use crate::client::PayloadTemplate;
use crate::config::FixedOutput;
use crate::endpoint::Endpoints;
use crate::fixture::Fixture;
use crate::level::Level;
use crate::prompt::{NamedPrompt, PromptSource, SourceOptions};
use crate::terminal::Spinner;

/// A prompt at a level, in its run. Its load runs once, whatever metrics are measured.
pub struct Point<'a> {
    pub context: &'a RunContext,
    pub info: PointInfo<'a>,
    pub prompt: &'a NamedPrompt,
}

impl<'a> Point<'a> {
    /// The point of `context` that `info` describes.
    pub fn new(context: &'a RunContext, info: PointInfo<'a>) -> Point<'a> {
        let levels = context.config.concurrent_levels.len();
        Point {
            context,
            prompt: &context.prompts[info.ordinal as usize / levels],
            info,
        }
    }

    /// Requests in flight.
    pub fn concurrency(&self) -> NonZeroUsize {
        match self.info.level {
            Level::Concurrency(requests) => requests,
        }
    }

    /// Returns the requests of the point. The first call prepares the requests of all points.
    ///
    /// # Errors
    /// Why there are no requests.
    pub fn source(&self, fixture: &Fixture) -> Result<Arc<dyn PromptSource>, String> {
        prepare_prompts(self.context, fixture);
        self.prepared(fixture)
    }

    fn prepared(&self, fixture: &Fixture) -> Result<Arc<dyn PromptSource>, String> {
        self.prompt.source(&SourceOptions {
            prefix_cache: self.context.config.prefix_cache,
            seed: fixture.seed,
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
