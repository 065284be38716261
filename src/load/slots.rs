use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::tally::Tally;
use crate::client::{Outcome, RequestRecord};

/// Content events of the requests in flight, one slot for each place of the concurrency, and what has
/// come of the requests so far.
pub(super) struct Slots {
    /// Close together: all are read at each request's end, and a store waits for no other thread.
    slots: Box<[AtomicU32]>,
    pub tally: Tally,
}

impl Slots {
    pub fn new(concurrency: NonZeroUsize) -> Arc<Slots> {
        Arc::new(Slots {
            slots: (0..concurrency.get()).map(|_| AtomicU32::new(0)).collect(),
            tally: Tally::default(),
        })
    }

    pub fn concurrency(&self) -> usize {
        self.slots.len()
    }

    /// Counts a request that begins; returns the counter of its events.
    pub fn begin(&self, slot: usize) -> &AtomicU32 {
        self.tally.begin();
        &self.slots[slot]
    }

    /// Counts a request that has ended, and frees its slot; the content events that it had received.
    pub fn end(&self, slot: usize, record: &RequestRecord) -> u32 {
        let events = self.slots[slot].swap(0, Ordering::Relaxed);
        let counted = match &record.outcome {
            Outcome::Completed(completion) => completion.usage_output,
            Outcome::Failed(_) | Outcome::Blocked(_) => None,
        };
        self.tally.end(record, counted.unwrap_or(events).into());
        events
    }

    /// Requests that have begun and not ended.
    pub fn in_flight(&self) -> u64 {
        // The ended ones first: read later, they could exceed the begun ones.
        let ended = self.tally.ended.load(Ordering::Relaxed);
        let begun = self.tally.begun.load(Ordering::Relaxed);
        begun.saturating_sub(ended)
    }

    /// The events that the requests in flight have received.
    pub fn in_flight_events(&self) -> u64 {
        let events = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        events.map(u64::from).sum()
    }
}
