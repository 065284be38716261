//! The servers under load: waiting until they are ready, what they are, and which of them gets the next
//! request.
//!
//! [`connect`] does it all in order: it waits for every endpoint ([`ready`]), reads the identity of each
//! ([`identity`]) and chooses the one model that all of them serve ([`model`]). None of the pages that it reads is
//! required: where one is missing, a real request decides ([`TrialRequest`]).

pub mod balance;
mod connect;
mod endpoints;
mod error;
mod failure;
mod http;
pub mod identity;
mod interval;
pub mod model;
pub mod ready;
mod sample;
mod scraper;
mod served_model;
pub mod server_metrics;
mod trial;

pub use balance::{Balance, EndpointTurn, LeastOutstanding, RoundRobin};
pub use connect::connect;
pub use endpoints::{Endpoint, Endpoints};
pub use error::EndpointError;
pub use failure::{EndpointFailure, FailureKind};
pub use http::Http;
pub use identity::{Identity, Missing, Probe, probe};
pub use interval::MetricsInterval;
pub use ready::{Prober, Readiness, ReadyProof, ReadyState};
pub use sample::ServerSample;
pub use scraper::Scraper;
pub use served_model::ServedModel;
pub use server_metrics::{CountersReset, ServerCounters, ServerMetrics};
#[cfg(feature = "cli")]
pub(crate) use trial::QUESTION;
pub use trial::TrialRequest;
