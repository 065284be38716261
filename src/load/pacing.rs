//! When the next request starts.

use std::pin::Pin;

use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;

use super::window::{Finished, Window};
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

/// Yields the requests in the order of their ends, until `end`.
pub(super) fn finished_until<'l>(
    finished: &'l mut UnboundedReceiver<Finished>,
    runtime: &'l Handle,
    mut end: End<'l>,
) -> impl FnMut() -> Option<Finished> + 'l {
    move || {
        // Requests that have ended already need no wait.
        finished.try_recv().ok().or_else(|| {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    // The channel ends only if all that sends has died, which takes a panic in the target, or was
                    // broken off.
                    ended = finished.recv() => ended,
                    () = &mut end => None,
                }
            })
        })
    }
}
