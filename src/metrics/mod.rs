//! From windows of requests to figures; every formula of the project is here.

mod contradiction;
mod distribution;
mod goodput;
pub mod latency;
mod lengths;
mod older_summary;
mod outage;
mod peak;
mod percentile;
mod steadiness;
mod summary;

pub use crate::config::Percentile;
pub use crate::sorted_values::SortedValues;
pub use contradiction::{Contradiction, ContradictionKind, contradictions};
pub use distribution::Distribution;
pub use goodput::{good_requests, goodput, meets};
pub use lengths::Lengths;
pub use outage::{Outage, OutageKind, RunTrace, Unanswered, outages};
pub use peak::{most_in_flight, most_tokens_in_a_second};
pub use percentile::TooFewValues;
pub use steadiness::{LittlesLaw, Saturation};
pub use summary::{
    Blocked, EndpointShare, FailureCount, Summary, TokenCounts, count_blocked, count_failures,
    sorted_itl_ms,
};
