//! What a pacing decides: when requests start, and which of those that have ended make a window.
//!
//! A pacing knows neither sockets nor clocks, so real and virtual time run the same one.

use std::fmt::Debug;
use std::num::NonZeroUsize;

use super::window::{Finished, Window};
use crate::client::RequestRecord;

/// When the requests of a load start, and how its windows are cut.
#[derive(Debug)]
pub struct Pacing {
    /// The most requests in flight: the slots.
    pub(crate) most_in_flight: NonZeroUsize,
    /// Whether requests have intended times from which their users wait, as in an open loop.
    pub(crate) is_scheduled: bool,
    pub(crate) starts: Box<dyn Starts>,
    pub(crate) windows: Box<dyn Windows>,
}

/// The requests that start on their own, whether or not a window is waited for. By default there are none.
pub(crate) trait Starts: Debug + Send {
    /// When the next request starts in a free slot; `None` while that is not known.
    fn next_ns(&self) -> Option<u64> {
        None
    }

    /// The request of [`Starts::next_ns`] has started, or was not sent because no slot was free.
    fn advance(&mut self) {}

    /// Takes note of a request that has ended. Returns whether the next one starts at once in its slot.
    fn ended(&mut self, _record: &RequestRecord) -> bool {
        false
    }
}

/// Cuts the windows of a load.
pub(crate) trait Windows: Debug {
    /// Waits until `rounds` more rounds have finished and returns them; fewer if `runner` yields no more.
    fn window(&mut self, rounds: u64, runner: &mut dyn Runner) -> Window;
}

/// Carries out the requests of a load, in real or in virtual time.
pub(crate) trait Runner {
    fn now_ns(&self) -> u64;

    /// Starts a request in every free slot.
    fn fill(&mut self);

    /// Waits for the next request that ends; `None` at the end of the window.
    fn next(&mut self) -> Option<Finished>;
}
