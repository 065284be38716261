//! When the next request starts.

use std::pin::Pin;

use super::window::Window;
use crate::client::RequestRecord;

/// Ends a window early.
pub(super) type End<'e> = Pin<&'e mut (dyn Future<Output = ()> + 'e)>;

/// A running load. None of its methods may be called from within the runtime.
pub(super) trait Pacing {
    /// Waits until `rounds` more rounds have finished and returns them; fewer where `end` comes first.
    fn window(&mut self, rounds: u64, end: End<'_>) -> Window;

    /// Breaks off what is in flight, and waits until it has ended.
    fn break_off(&mut self) {}

    /// The requests that have ended since the last call and are in no window, in the order of their ends; does not
    /// wait. Empty for a load that runs only while a window is waited for.
    fn ended(&mut self) -> Vec<RequestRecord> {
        Vec::new()
    }

    /// Sends no further request and waits for those in flight, which are broken off at `end`; returns what has ended
    /// since the last call.
    fn drain(&mut self, _end: End<'_>) -> Vec<RequestRecord> {
        Vec::new()
    }
}
