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
#![warn(missing_docs)]

mod bench;
pub mod check;
pub mod client;
pub mod config;
pub mod deployment;
pub mod endpoint;
pub mod engine;
pub mod fit;
pub mod fixture;
pub mod load;
pub mod measurement;
pub mod metrics;
pub mod plan;
pub mod prompt;
mod ranks;
mod redact;
pub mod report;
pub mod results;
pub mod safety;
mod signals;
pub mod simulation;
pub mod stdio;
mod terminal;
pub mod tls;
pub mod verdict;

pub use bench::{Bench, Ran, Run, RunError, Workload, WorkloadError};
