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
//! Data moves one way: [`config`] → [`fixture`] ([`endpoint`]s, [`prompt`]s) → [`load`] → [`client`] →
//! windows → [`measurement`] (Criterion), [`metrics`] → [`report`] and [`results`] → [`verdict`].
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod bench;
#[cfg(feature = "cli")]
pub mod check;
#[cfg(feature = "cli")]
pub mod cli;
pub mod client;
pub mod config;
pub mod deployment;
pub mod dialect;
pub mod embedded;
pub mod endpoint;
#[cfg(feature = "engine")]
pub mod engine;
pub mod file_limit;
#[cfg(feature = "fit")]
pub mod fit;
pub mod fixture;
#[cfg(feature = "engine")]
#[doc(hidden)]
pub mod fuzzing;
mod interrupt;
mod level;
pub mod load;
pub mod measurement;
pub mod metrics;
pub mod panics;
#[cfg(feature = "plan")]
pub mod plan;
pub mod prompt;
mod ranks;
mod redact;
pub mod report;
pub mod requests;
pub mod results;
pub mod safety;
mod signals;
mod simulated;
#[cfg(feature = "engine")]
pub mod simulation;
mod sorted_values;
pub mod stdio;
mod target;
mod terminal;
pub mod tls;
mod varint;
pub mod verdict;

pub use bench::{Bench, Ran, Run, RunError};
pub use level::{InvalidLevel, Level};
pub use prompt::{Workload, WorkloadError};
