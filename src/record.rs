//! The record of one point, and the types of its fields.
//!
//! [`RunRecord::read`] reads a record that a bench or a run wrote:
//! `target/criterion/servemark/<bench>/<prompt>/<level>/new.json`. `docs/record.schema.json` describes the file.

pub use crate::client::TokenSource;
pub use crate::config::Slo;
pub use crate::endpoint::{Identity, MetricsInterval, Missing, ServerSample};
pub use crate::level::{InvalidLevel, Level};
pub use crate::load::{Lag, SelfCheck};
pub use crate::metrics::{
    Blocked, Contradiction, ContradictionKind, Distribution, EndpointShare, FailureCount,
    LittlesLaw, Outage, OutageKind, Percentile, Saturation, Summary, TokenCounts, TooFewValues,
    Unanswered,
};
pub use crate::prompt::{RequestLengths, TokenRange};
pub use crate::request_rate::{InvalidRate, RequestRate};
pub use crate::requests::RequestColumns;
pub use crate::results::{
    DeploymentRecord, PointKey, RankPart, RecordError, RunRecord, SCHEMA_VERSION, WindowRecord,
};
