//! Criterion-style throughput benchmarks for OpenAI-compatible LLM servers such as vLLM.
//!
//! The function under test is a set of serving endpoints. A benchmark target names a [`Workload`] and
//! hands it to [`Bench`]; everything else comes from `fixtures/parameters.json`, the environment, and
//! Criterion's command line:
//!
//! ```no_run
//! use servemark::{Bench, Workload};
//!
//! fn main() -> std::process::ExitCode {
//!     Bench::new("chat_throughput", Workload::chat()).run()
//! }
//! ```
//!
//! A program that measures uses [`Run`] in place of [`Bench`], and reads the [`RunRecord`]s of its
//! [`RunResult`]. Both take a [`Config`], whose keys override the file and the environment.
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod bench;
mod capacity;
#[cfg(feature = "cli")]
mod check;
#[cfg(feature = "cli")]
pub mod cli;
mod client;
mod config;
mod deployment;
mod dialect;
mod embedded;
mod endpoint;
#[cfg(feature = "engine")]
mod engine;
mod file_limit;
#[cfg(feature = "fit")]
mod fit;
mod fixture;
#[cfg(feature = "engine")]
mod fuzzing;
mod ids;
#[doc(hidden)]
pub mod internals;
mod interrupt;
mod length_distribution;
mod level;
mod load;
mod measurement;
mod metrics;
mod panics;
#[cfg(feature = "plan")]
mod plan;
mod prompt;
mod ranks;
pub mod record;
mod redact;
mod report;
mod request_rate;
mod requests;
mod results;
mod safety;
mod signals;
mod simulated;
#[cfg(feature = "engine")]
mod simulation;
mod sorted_values;
mod stdio;
mod target;
mod terminal;
mod tls;
mod varint;
mod verdict;

pub use bench::{Bench, Run, RunError, RunResult};
pub use config::Config;
pub use load::Sampling;
pub use prompt::Workload;
pub use record::RunRecord;
