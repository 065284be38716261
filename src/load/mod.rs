//! When requests start, and what a window is. Knows nothing of HTTP.
//!
//! A load drives a [`Target`] at a fixed concurrency *C* and is asked for one [`Window`] after another.
//! One *iteration* is one round of C finished requests; a window is `iterations` consecutive rounds.

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

use crate::client::{Clock, RequestRecord};
use crate::config::LoadShape;

pub use sampling::{Rounds, Sampling};
pub use self_check::{
    Lag, MOST_BUSY_SHARE, MOST_LOOP_LAG_MS, MOST_SEND_LAG_MS, MOST_STARVED_SHARE, SelfCheck, Watch,
    Watched,
};
pub use window::Window;
#[cfg(test)]
pub(crate) use window::tests as window_tests;
pub(crate) use window::{Boundary, Finished};

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
pub struct Load<T: Target>(Shape<T>);

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
        Load(match shape {
            LoadShape::Steady => Shape::Steady(Steady::start(&runtime, target, slots, clock)),
            LoadShape::Wave => Shape::Wave(Wave::new(runtime, target, slots, clock)),
        })
    }

    /// Waits until `iterations` more rounds have finished and returns them as a window.
    ///
    /// Steady windows are contiguous: each begins at the completion that ended the one before, and the
    /// load is not drained in between. Must not be called from within the runtime.
    pub fn window(&mut self, iterations: u64) -> Window {
        match &mut self.0 {
            Shape::Steady(steady) => steady.window(iterations),
            Shape::Wave(wave) => wave.window(iterations),
        }
    }

    /// The requests of a steady load that have ended since they were last asked for, in the order of
    /// their ends; does not wait. They are in no window. Nothing for a wave, which runs only while a
    /// window is waited for.
    pub fn ended(&mut self) -> Vec<RequestRecord> {
        match &mut self.0 {
            Shape::Steady(steady) => steady.ended().collect(),
            Shape::Wave(_) => Vec::new(),
        }
    }

    /// Sends no further request and waits for those in flight; returns what has ended since it was last
    /// asked for. Must not be called from within the runtime.
    pub fn drain(mut self) -> Vec<RequestRecord> {
        match &mut self.0 {
            Shape::Steady(steady) => steady.drain().collect(),
            Shape::Wave(_) => Vec::new(),
        }
    }
}

/// Content events of the requests in flight, one slot for each place of the concurrency.
struct Slots(Box<[Slot]>);

/// A counter on a cache line of its own, as each is written by another worker.
#[derive(Default)]
#[repr(align(64))]
struct Slot(AtomicU32);

impl Slots {
    fn new(concurrency: NonZeroUsize) -> Arc<Slots> {
        Arc::new(Slots(
            (0..concurrency.get()).map(|_| Slot::default()).collect(),
        ))
    }

    fn concurrency(&self) -> usize {
        self.0.len()
    }

    fn counter(&self, slot: usize) -> &AtomicU32 {
        &self.0[slot].0
    }

    /// Frees a slot and returns the events that the other requests in flight have received.
    fn release(&self, slot: usize) -> u64 {
        self.counter(slot).store(0, Ordering::Relaxed);
        self.0
            .iter()
            .map(|s| u64::from(s.0.load(Ordering::Relaxed)))
            .sum()
    }
}
