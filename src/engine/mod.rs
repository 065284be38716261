//! The embedded engine: a simulated vLLM.
//!
//! A real HTTP server on a real loopback socket, with vLLM's protocol, in front
//! of a model of vLLM's continuous batching: a step loop over waiting and running
//! sequences, chunked prefill, paged KV blocks, prefix caching, preemption. There
//! is no language model: output tokens are drawn from the tokenizer's vocabulary,
//! by seed. The engine simulates *when* tokens are emitted.
//!
//! Every response carries the header `x-servemark-simulated: <preset>`, and the
//! true emission time of each token is available ([`Engine::truth`], or
//! `GET /servemark/truth/<request id>`).
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use servemark::internals::engine::{Engine, EngineOptions, Preset};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tokenizer = tokenizers::Tokenizer::from_file("tokenizer.json").map_err(|e| e.to_string())?;
//! let options = EngineOptions::new(Preset::named("sim-small")?, Arc::new(tokenizer));
//! let engine = Engine::start(EngineOptions { replicas: 2, ..options })?;
//! println!("{}", engine.urls()[0]);
//! # Ok(())
//! # }
//! ```
//!
//! This module does not depend on the rest of the crate.

mod blocks;
mod chat_template;
mod driver;
mod engine_core;
mod faults;
mod http;
mod metrics;
mod noise;
mod option_text;
mod options;
mod output;
mod parameters;
mod preset;
mod replica;
mod scheduler;
mod server;
mod sse;
mod step_time;
mod text;
mod truth;

pub use crate::simulated::SIMULATED_HEADER;
pub use engine_core::EngineCore;
pub use faults::{Faults, TimedFault};
pub use noise::{Noise, Seeds};
pub use option_text::OptionTextError;
pub use options::{ContextOverflow, EngineOptions};
pub use output::{FinishReason, NaturalLength};
pub use preset::{Frontend, Preset, PublishedThroughput};
pub use scheduler::{
    Scheduler, SchedulerLimits, Sequence, SequenceId, TokenEvent, Totals as SchedulerTotals,
};
pub use server::Engine;
pub use step_time::{Slowdown, StepLoad, StepTime};
pub use text::{TokenStream, Vocabulary};
pub use truth::{ChoiceTruth, RequestTruth};

use std::net::IpAddr;

/// The version of vLLM whose protocol is simulated, marked as simulated.
pub(crate) const VERSION: &str = "0.32.0+servemark.simulated";

/// An engine that cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No preset of that name.
    #[error("there is no engine preset {name:?}; the presets are: {known}")]
    UnknownPreset {
        /// The requested name.
        name: String,
        /// The names of all presets.
        known: String,
    },
    /// An invalid preset.
    #[error("engine preset {name}: {problem}")]
    InvalidPreset {
        /// The preset's name.
        name: String,
        /// The problem.
        problem: String,
    },
    /// An invalid option.
    #[error("engine option {option}: {problem}")]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// The problem with its value.
        problem: String,
    },
    /// The tokenizer has no token that is printable text by itself.
    #[error(
        "the tokenizer has no token that decodes to printable text by itself; give the engine another tokenizer"
    )]
    NoUsableTokens,
    /// The engine cannot listen on a port.
    #[error(
        "cannot listen on {host} port {port}: {source}; choose another port or stop the process that uses it"
    )]
    Listen {
        /// The requested address.
        host: IpAddr,
        /// The requested port; 0 is any free one.
        port: u16,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A thread or runtime cannot be started.
    #[error("cannot start the engine's threads: {0}")]
    Threads(std::io::Error),
}
