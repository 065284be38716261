//! From windows of requests to figures; every formula of the project is here.

mod distribution;
mod goodput;
pub mod latency;
mod summary;

pub use distribution::{Distribution, percentile};
pub use goodput::{good_requests, goodput, meets};
pub use summary::{
    Blocked, EndpointShare, FailureCount, Summary, TokenCounts, count_blocked, count_failures,
};
