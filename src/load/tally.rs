use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::client::{Outcome, RequestRecord};

/// Counts of a load's requests, on a cache line that no per-token counter shares.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Tally {
    pub begun: AtomicU64,
    pub ended: AtomicU64,
    pub completed: AtomicU64,
    pub failed: AtomicU64,
    pub tokens: AtomicU64,
    /// Latencies of the completed requests together (ns).
    latency_ns: AtomicU64,
}

impl Tally {
    pub fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub fn end(&self, record: &RequestRecord, tokens: u64) {
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
        match record.outcome {
            Outcome::Completed(_) => {
                let latency_ns = record.end_ns.saturating_sub(record.e2el_from_ns());
                self.latency_ns.fetch_add(latency_ns, Ordering::Relaxed);
                self.completed.fetch_add(1, Ordering::Relaxed)
            }
            Outcome::Failed(_) => self.failed.fetch_add(1, Ordering::Relaxed),
            Outcome::Blocked(_) => 0,
        };
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
    /// The mean latency of the completed requests; `None` before the first.
    pub fn mean_latency(&self) -> Option<Duration> {
        let completed = self.completed.load(Ordering::Relaxed);
        let latency_ns = self.latency_ns.load(Ordering::Relaxed);
        latency_ns.checked_div(completed).map(Duration::from_nanos)
    }
}
