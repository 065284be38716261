//! Figures of a load while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::slots::Slots;

/// Reads how far a load has come. A reading takes no lock, and the load spends a few additions per
/// request on it, nothing per token.
#[derive(Clone)]
pub struct Gauge(Arc<Slots>);

/// The progress of a load since it started. The figures are read one after another while it goes on,
/// so they may disagree by the requests that end meanwhile: for showing, not for measuring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Requests that succeeded.
    pub completed: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that have begun and not ended.
    pub in_flight: u64,
    /// Output tokens received: of an ended request by the server's count, else by its content events; of
    /// one in flight its content events so far.
    pub tokens: u64,
}

impl Gauge {
    pub(super) fn new(slots: Arc<Slots>) -> Gauge {
        Gauge(slots)
    }

    /// How far the load has come now.
    pub fn read(&self) -> Reading {
        let tally = &self.0.tally;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Reading {
            completed: read(&tally.completed),
            failed: read(&tally.failed),
            in_flight: self.0.in_flight(),
            tokens: read(&tally.tokens) + self.0.in_flight_events(),
        }
    }
}

impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Gauge").field(&self.read()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::client::{Failure, FailureCause, Outcome, RequestRecord};
    use crate::load::window_tests::completed;

    #[test]
    fn readings_follow_requests_from_begin_to_end() {
        let slots = Slots::new(NonZeroUsize::new(3).expect("three"));
        let gauge = Gauge::new(Arc::clone(&slots));
        assert_eq!(gauge.read(), Reading::default());
        for slot in 0..3 {
            slots.begin(slot).store(2, Ordering::Relaxed);
        }
        let begun = Reading {
            in_flight: 3,
            tokens: 6,
            ..Reading::default()
        };
        assert_eq!(gauge.read(), begun);

        // The server counted seven tokens in two events; the failed one keeps its events.
        slots.end(0, &completed(0, 1, 10, 7));
        let message = String::new();
        let failure = Outcome::Failed(Failure {
            cause: FailureCause::StreamCut,
            message,
        });
        let failed = RequestRecord {
            outcome: failure,
            ..completed(0, 1, 10, 2)
        };
        slots.end(1, &failed);
        let ended = Reading {
            completed: 1,
            failed: 1,
            in_flight: 1,
            tokens: 7 + 2 + 2,
        };
        assert_eq!(gauge.read(), ended);
        assert_eq!(
            slots.in_flight_events(),
            2,
            "ended requests are not in flight"
        );
    }
}
