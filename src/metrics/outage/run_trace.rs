use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A request without an answer: it timed out, or the load ended before it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unanswered {
    /// Position of the endpoint in the list.
    pub endpoint: usize,
    /// When it was sent (ns).
    pub sent_ns: u64,
    /// When the latest byte of its response arrived (ns); `sent_ns` if none did.
    pub heard_ns: u64,
    /// When it was aborted (ns).
    pub ended_ns: u64,
}

/// The data about one run of a point's load beside its requests.
#[derive(Debug)]
pub struct RunTrace<'a> {
    /// From the start of the first window to the end of the last (ns).
    pub span_ns: Range<u64>,
    /// Its requests without an answer; `None` if they were not recorded: then it is unknown when the bytes of a
    /// request that timed out arrived.
    pub unanswered: Option<&'a [Unanswered]>,
    /// Addresses of the endpoints, in the order of their list.
    pub urls: &'a [String],
}

impl RunTrace<'_> {
    /// Seconds since the start of the first window.
    pub(super) fn seconds(&self, at_ns: u64) -> f64 {
        at_ns.saturating_sub(self.span_ns.start) as f64 / 1e9
    }
}
