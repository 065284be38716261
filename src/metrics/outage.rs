//! Outages of endpoints: all requests failed for a while, or no byte arrived.
//! Found in the requests' own times, after the load.

mod failing;
mod period;
mod run_trace;
mod silence;

use std::borrow::Borrow;

use crate::client::RequestRecord;

pub use period::{Outage, OutageKind};
pub use run_trace::{RunTrace, Unanswered};

/// The outages of one run in the order of their start. `requests` returns the run's requests, in any order; it is
/// called twice.
pub fn outages<R, I>(requests: impl Fn() -> I, trace: &RunTrace<'_>) -> Vec<Outage>
where
    R: Borrow<RequestRecord>,
    I: Iterator<Item = R>,
{
    let mut outages = silence::silences(&requests, trace);
    outages.extend(failing::spells(requests(), trace));
    outages.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
    outages
}

#[cfg(test)]
mod tests;
