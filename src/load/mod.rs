//! When requests start, and what a window is. Knows nothing of HTTP.
//!
//! A load drives a [`Target`] at a fixed concurrency *C* and is asked for one [`Window`] after another.
//! One *iteration* is one round of C finished requests; a window is `iterations` consecutive rounds.

mod gauge;
mod sampling;
mod self_check;
mod steady;
mod threads;
mod wave;
mod window;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::runtime::Handle;

use crate::client::{Clock, Outcome, RequestRecord};
use crate::config::LoadShape;

pub use gauge::{Gauge, Reading};
pub use sampling::{Rounds, Sampling};
pub use self_check::{
    Lag, MOST_BUSY_SHARE, MOST_LOOP_LAG_MS, MOST_SEND_LAG_MS, MOST_STARVED_SHARE, SelfCheck, Watch,
    Watched,
};
pub use window::Window;
#[cfg(test)]
pub(crate) use window::tests as window_tests;
pub(crate) use window::{Boundary, Finished};

use gauge::Tally;
use steady::Steady;
use wave::Wave;

/// Something that a load can send requests to.
pub trait Target: Send + Sync + 'static {
    /// Carries out one request to its end, however it ends.
    ///
    /// `events` is set to the number of content events received so far, as they arrive.
    fn request(&self, events: &AtomicU32) -> impl Future<Output = RequestRecord> + Send;
}

/// A running load at one concurrency; dropping it stops it and abandons what is in flight.
pub struct Load<T: Target> {
    shape: Shape<T>,
    slots: Arc<Slots>,
}

enum Shape<T: Target> {
    Steady(Steady),
    Wave(Wave<T>),
}

impl<T: Target> Load<T> {
    /// Starts the load on `runtime`; a steady load sends at once, a wave load when a window is asked for.
    pub fn start(
        runtime: Handle,
        target: Arc<T>,
        shape: LoadShape,
        concurrency: NonZeroUsize,
        clock: Clock,
    ) -> Load<T> {
        let slots = Slots::new(concurrency);
        let own = Arc::clone(&slots);
        let shape = match shape {
            LoadShape::Steady => Shape::Steady(Steady::start(&runtime, target, own, clock)),
            LoadShape::Wave => Shape::Wave(Wave::new(runtime, target, own, clock)),
        };
        Load { shape, slots }
    }

    /// What can be read of the load while it runs, from any thread.
    pub fn gauge(&self) -> Gauge {
        Gauge::new(Arc::clone(&self.slots))
    }

    /// Waits until `iterations` more rounds have finished and returns them as a window.
    ///
    /// Steady windows are contiguous: each begins at the completion that ended the one before, and the
    /// load is not drained in between. Must not be called from within the runtime.
    pub fn window(&mut self, iterations: u64) -> Window {
        match &mut self.shape {
            Shape::Steady(steady) => steady.window(iterations),
            Shape::Wave(wave) => wave.window(iterations),
        }
    }

    /// The requests of a steady load that have ended since they were last asked for, in the order of
    /// their ends; does not wait. They are in no window. Nothing for a wave, which runs only while a
    /// window is waited for.
    pub fn ended(&mut self) -> Vec<RequestRecord> {
        match &mut self.shape {
            Shape::Steady(steady) => steady.ended().collect(),
            Shape::Wave(_) => Vec::new(),
        }
    }

    /// Sends no further request and waits for those in flight; returns what has ended since it was last
    /// asked for. Must not be called from within the runtime.
    pub fn drain(mut self) -> Vec<RequestRecord> {
        match &mut self.shape {
            Shape::Steady(steady) => steady.drain().collect(),
            Shape::Wave(_) => Vec::new(),
        }
    }
}

/// Content events of the requests in flight, one slot for each place of the concurrency, and what has
/// come of the requests so far.
struct Slots {
    /// Close together: all are read at each request's end, and a store waits for no other thread.
    slots: Box<[AtomicU32]>,
    tally: Tally,
}

impl Slots {
    fn new(concurrency: NonZeroUsize) -> Arc<Slots> {
        Arc::new(Slots {
            slots: (0..concurrency.get()).map(|_| AtomicU32::new(0)).collect(),
            tally: Tally::default(),
        })
    }

    fn concurrency(&self) -> usize {
        self.slots.len()
    }

    /// Counts a request that begins; returns the counter of its events.
    fn begin(&self, slot: usize) -> &AtomicU32 {
        self.tally.begin();
        &self.slots[slot]
    }

    /// Counts a request that has ended, and frees its slot.
    fn end(&self, slot: usize, record: &RequestRecord) {
        let events = self.slots[slot].swap(0, Ordering::Relaxed);
        let counted = match &record.outcome {
            Outcome::Completed(completion) => completion.usage_output,
            Outcome::Failed(_) | Outcome::Blocked(_) => None,
        };
        self.tally
            .end(&record.outcome, u64::from(counted.unwrap_or(events)));
    }

    /// The events that the requests in flight have received.
    fn in_flight_events(&self) -> u64 {
        let events = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        events.map(u64::from).sum()
    }
}
