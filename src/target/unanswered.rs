//! The requests of a load that got no answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::client::{Clock, Completion, Failure, FailureCause};
use crate::metrics::Unanswered;

/// Collects the requests of a load that timed out, or that were in flight when the load ended.
#[derive(Clone, Default)]
pub(crate) struct UnansweredLog(Arc<Mutex<Vec<Unanswered>>>);

impl UnansweredLog {
    /// Removes and returns the requests so far; requests in flight are added when the load ends.
    pub fn take(&self) -> Vec<Unanswered> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, request: Unanswered) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(request);
    }
}

/// A request in flight; it enters the log when it times out or is dropped before it ends.
pub(super) struct TrackedRequest<'a> {
    log: &'a UnansweredLog,
    clock: Clock,
    endpoint: usize,
    sent_ns: u64,
    /// When the latest bytes arrived; 0 before the first.
    pub heard_ns: AtomicU64,
    is_answered: bool,
}

impl TrackedRequest<'_> {
    pub fn start(log: &UnansweredLog, clock: Clock, endpoint: usize) -> TrackedRequest<'_> {
        TrackedRequest {
            log,
            clock,
            endpoint,
            sent_ns: clock.now_ns(),
            heard_ns: AtomicU64::new(0),
            is_answered: false,
        }
    }

    /// Ends the request with `result`; an immediate failure counts as an answer.
    pub fn end(mut self, result: &Result<Completion, Failure>) {
        self.is_answered =
            !matches!(result, Err(failure) if failure.cause == FailureCause::Timeout);
    }
}

impl Drop for TrackedRequest<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.log.push(Unanswered {
                endpoint: self.endpoint,
                sent_ns: self.sent_ns,
                heard_ns: self.heard_ns.load(Ordering::Relaxed).max(self.sent_ns),
                ended_ns: self.clock.now_ns(),
            });
        }
    }
}
