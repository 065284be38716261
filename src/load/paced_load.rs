//! A load and the windows taken of it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;

use super::arrivals::Arrivals;
use super::gauge::Gauge;
use super::open::Open;
use super::pacing::Pacing;
use super::slots::Slots;
use super::steady::Steady;
use super::target::Target;
use super::wave::Wave;
use super::window::Window;
use crate::client::{Clock, RequestRecord};

/// When the requests of a load start.
#[derive(Debug)]
pub enum Pace {
    /// So many are in flight at any time: one that has ended is replaced at once.
    Steady(NonZeroUsize),
    /// As steady, but they begin one after another, spread over the time of the first one.
    Staggered(NonZeroUsize),
    /// So many start at once, and the next when all have ended.
    Wave(NonZeroUsize),
    /// They arrive at given times.
    Open {
        /// When.
        arrivals: Box<Arrivals>,
        /// How many may be in flight; others are not sent.
        max_in_flight: NonZeroUsize,
    },
}

impl Pace {
    /// The most requests in flight.
    pub fn most_in_flight(&self) -> NonZeroUsize {
        match self {
            Pace::Steady(most) | Pace::Staggered(most) | Pace::Wave(most) => *most,
            Pace::Open { max_in_flight, .. } => *max_in_flight,
        }
    }
}

/// A running load at one level; dropping it stops it and abandons what is in flight.
pub struct Load {
    pacing: Box<dyn Pacing>,
    slots: Arc<Slots>,
    /// When it ends whatever is in flight, if it does.
    over_at: Option<Instant>,
    is_cut: bool,
}

impl Load {
    /// Starts the load on `runtime`. A steady load sends at once, a wave load when a window is taken; the first
    /// arrival of an open loop comes after a gap.
    pub fn start<T: Target>(runtime: Handle, target: Arc<T>, pace: Pace, clock: Clock) -> Load {
        let slots = Slots::new(pace.most_in_flight());
        let own = Arc::clone(&slots);
        Load {
            pacing: match pace {
                Pace::Steady(_) => Box::new(Steady::start(runtime, target, own, clock, false)),
                Pace::Staggered(_) => Box::new(Steady::start(runtime, target, own, clock, true)),
                Pace::Wave(_) => Box::new(Wave::new(runtime, target, own, clock)),
                Pace::Open { arrivals, .. } => {
                    Box::new(Open::start(runtime, target, own, clock, *arrivals))
                }
            },
            slots,
            over_at: None,
            is_cut: false,
        }
    }

    /// Ends the load at `at`, whatever is in flight then: the window under way is short, and those after it are
    /// empty.
    pub fn end_at(&mut self, at: Instant) {
        self.over_at = Some(at);
    }

    /// Whether it was ended by [`Load::end_at`].
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Reads the load's progress while it runs, from any thread.
    pub fn gauge(&self) -> Gauge {
        Gauge::new(Arc::clone(&self.slots))
    }

    /// Waits until `rounds` more rounds have finished and returns them as a window.
    ///
    /// Steady windows are contiguous: each begins at the completion that ended the one before, and the
    /// load is not drained in between. Must not be called from within the runtime.
    pub fn window(&mut self, rounds: u64) -> Window {
        self.window_until(rounds, std::future::pending())
    }

    /// As [`Load::window`], but not beyond `end`: the window then has what had finished until then, which may be
    /// nothing, and counts only whole rounds. Must not be called from within the runtime.
    pub fn window_until(&mut self, rounds: u64, end: impl Future<Output = ()>) -> Window {
        let rounds = if self.is_cut { 0 } else { rounds };
        let end = std::pin::pin!(or_at(end, self.over_at));
        let window = self.pacing.window(rounds, end);
        if self.over_at.is_some_and(|at| Instant::now() >= at) {
            self.is_cut = true;
            self.pacing.break_off();
        }
        window
    }

    /// Breaks off what is in flight, and waits until it has ended. Must not be called from within the runtime.
    pub fn abandon(mut self) {
        self.pacing.break_off();
    }

    /// The requests of a steady load that have ended since the last call, in the order of their ends; does not wait.
    /// They are in no window. Empty for a wave, which runs only while a window is waited for.
    pub fn ended(&mut self) -> Vec<RequestRecord> {
        self.pacing.ended()
    }

    /// Sends no further request and waits for those in flight; returns what has ended since the last call. Must not
    /// be called from within the runtime.
    pub fn drain(mut self) -> Vec<RequestRecord> {
        self.pacing.drain()
    }
}

/// Ends with `end`, or at `over_at` if that comes first.
async fn or_at(end: impl Future<Output = ()>, over_at: Option<Instant>) {
    match over_at {
        None => end.await,
        Some(at) => tokio::time::timeout_at(at.into(), end)
            .await
            .unwrap_or_default(),
    }
}
