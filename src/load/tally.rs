use std::sync::atomic::{AtomicU64, Ordering};

use crate::client::Outcome;

/// Counts of a load's requests, on a cache line that no per-token counter shares.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Tally {
    pub begun: AtomicU64,
    pub ended: AtomicU64,
    pub completed: AtomicU64,
    pub failed: AtomicU64,
    pub tokens: AtomicU64,
}

impl Tally {
    pub fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub fn end(&self, outcome: &Outcome, tokens: u64) {
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
        match outcome {
            Outcome::Completed(_) => self.completed.fetch_add(1, Ordering::Relaxed),
            Outcome::Failed(_) => self.failed.fetch_add(1, Ordering::Relaxed),
            Outcome::Blocked(_) => 0,
        };
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}
