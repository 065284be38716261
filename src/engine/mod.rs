//! The embedded engine: a simulated vLLM.
//!
//! A real HTTP server on a real loopback socket, with vLLM's protocol, in front
//! of a model of vLLM's continuous batching: a step loop over waiting and running
//! sequences, chunked prefill, paged KV blocks, prefix caching, preemption. There
//! is no language model: output tokens are drawn from the tokenizer's vocabulary,
//! by seed. What it simulates is *when* tokens come.
//!
//! Every response carries the header `x-servemark-simulated: <preset>`, and the
//! true emission time of each token is available ([`Engine::truth`], or
//! `GET /servemark/truth/<request id>`).
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use servemark::engine::{Engine, EngineOptions, Preset};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tokenizer = tokenizers::Tokenizer::from_file("tokenizer.json").map_err(|e| e.to_string())?;
//! let options = EngineOptions::new(Preset::named("sim-small")?, Arc::new(tokenizer));
//! let engine = Engine::start(EngineOptions { replicas: 2, ..options })?;
//! println!("{}", engine.urls()[0]);
//! # Ok(())
//! # }
//! ```
//!
//! This module knows nothing of the rest of the crate.

mod blocks;
mod chat_template;
mod driver;
mod engine_core;
mod faults;
mod file_limit;
mod http;
mod metrics;
mod noise;
mod option_text;
mod options;
mod output;
mod preset;
mod replica;
mod scheduler;
mod server;
mod sse;
mod step_time;
mod text;
mod truth;

pub use engine_core::EngineCore;
pub use faults::{Faults, TimedFault};
pub use file_limit::{FileLimitError, raise_file_limit};
pub use noise::{Noise, Seeds};
pub use option_text::OptionTextError;
pub use options::{ContextOverflow, EngineOptions};
pub use output::{FinishReason, NaturalLength};
pub use preset::{Frontend, Preset, PublishedThroughput};
pub use scheduler::{
    Scheduler, SchedulerLimits, Sequence, SequenceId, TokenEvent, Totals as SchedulerTotals,
};
pub use server::Engine;
pub(crate) use server::VERSION;
pub use step_time::{Slowdown, StepLoad, StepTime};
pub use text::{TokenStream, Vocabulary};
pub use truth::{ChoiceTruth, RequestTruth};

use std::net::IpAddr;

/// Header by which every response says that it is simulated: the preset's name and, after
/// semicolons, each way in which the engine strays from it (`sim-small; speed=20`).
pub const SIMULATED_HEADER: &str = "x-servemark-simulated";

/// Why an engine cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No preset of that name.
    #[error("there is no engine preset {name:?}; there are: {known}")]
    UnknownPreset {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A preset that cannot be read or cannot work.
    #[error("engine preset {name}: {problem}")]
    BadPreset {
        /// The preset's name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An option out of its range.
    #[error("engine option {option}: {problem}")]
    BadOption {
        /// The option's name.
        option: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
    /// The tokenizer has no token that is printable text by itself.
    #[error(
        "the tokenizer has no token that decodes to printable text by itself; give the engine another tokenizer"
    )]
    NoUsableTokens,
    /// A port cannot be had.
    #[error(
        "cannot listen on {host} port {port}: {source}; choose another port or stop what uses it"
    )]
    Listen {
        /// The address asked for.
        host: IpAddr,
        /// The port asked for; 0 is any free one.
        port: u16,
        /// What the system says.
        source: std::io::Error,
    },
    /// A thread or runtime cannot be started.
    #[error("cannot start the engine's threads: {0}")]
    Threads(std::io::Error),
}
