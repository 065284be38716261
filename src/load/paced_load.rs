//! A load and the windows taken of it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::gauge::Gauge;
use super::pacing::{Pacing, Windows};
use super::sender::Sender;
use super::slots::Slots;
use super::tally::Tally;
use super::target::Target;
use super::window::Window;
use crate::client::{Clock, RequestRecord};

/// A running load at one level; dropping it stops it and abandons what is in flight.
pub struct Load {
    sender: Sender,
    windows: Box<dyn Windows>,
    slots: Arc<Slots>,
    /// When it ends whatever is in flight, if it does.
    deadline: Option<Deadline>,
    is_cut: bool,
}

/// When a load ends, from the mean latency of the requests that have succeeded so far; `None` for never.
type Deadline = Box<dyn Fn(Option<Duration>) -> Option<Instant>>;

/// How often a deadline that depends on latencies is computed again.
const LOOK: Duration = Duration::from_millis(100);

impl Load {
    /// Starts the load on `runtime`; `pacing` is given when it begins (ns). A steady load sends at once, a wave load when a window is taken; the first
    /// arrival of an open loop comes after a gap.
    pub fn start<T: Target>(
        runtime: Handle,
        target: Arc<T>,
        pacing: impl FnOnce(u64) -> Pacing,
        clock: Clock,
    ) -> Load {
        let pacing = pacing(clock.now_ns());
        let slots = Slots::new(pacing.most_in_flight);
        let own = Arc::clone(&slots);
        let (is_scheduled, starts) = (pacing.is_scheduled, pacing.starts);
        Load {
            sender: Sender::start(runtime, target, own, clock, is_scheduled, starts),
            windows: pacing.windows,
            slots,
            deadline: None,
            is_cut: false,
        }
    }

    /// Ends the load at the time that `deadline` returns, whatever is in flight then: the window under way is short, and
    /// those after it are empty. `deadline` is given the mean latency of the requests that have succeeded so far; what
    /// it returns may change.
    pub fn end_by(&mut self, deadline: impl Fn(Option<Duration>) -> Option<Instant> + 'static) {
        self.deadline = Some(Box::new(deadline));
    }

    /// The same for a deadline that is known; `None` for never.
    pub fn end_at(&mut self, at: Option<Instant>) {
        self.end_by(move |_| at);
    }

    /// Whether it was ended by its deadline.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The mean latency of the requests that have succeeded so far; `None` before the first.
    pub fn mean_latency(&self) -> Option<Duration> {
        self.slots.tally.mean_latency()
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
        let is_over = Cell::new(self.is_over());
        let deadline = pass(self.deadline.as_ref(), &self.slots.tally);
        let end = std::pin::pin!(async {
            tokio::select! {
                () = end => {}
                () = deadline => is_over.set(true),
            }
        });
        let window = self.windows.window(rounds, &mut self.sender.until(end));
        if is_over.get() || self.is_over() {
            self.is_cut = true;
            self.sender.break_off();
        }
        window
    }

    /// Whether its deadline has passed.
    pub fn is_over(&self) -> bool {
        let deadline = self.deadline.as_ref();
        let at = deadline.and_then(|deadline| deadline(self.mean_latency()));
        at.is_some_and(|at| Instant::now() >= at)
    }

    /// Breaks off what is in flight, and waits until it has ended. Must not be called from within the runtime.
    pub fn abandon(mut self) {
        self.sender.break_off();
    }

    /// The requests of a steady load that have ended since the last call, in the order of their ends; does not wait.
    /// They are in no window. Empty for a wave, which runs only while a window is waited for.
    pub fn ended(&mut self) -> Vec<RequestRecord> {
        self.sender.ended()
    }

    /// Sends no further request and waits for those in flight, which are broken off at the load's deadline; returns
    /// what has ended since the last call. Must not be called from within the runtime.
    pub fn drain(mut self) -> Vec<RequestRecord> {
        let end = std::pin::pin!(pass(self.deadline.as_ref(), &self.slots.tally));
        self.sender.drain(end);
        self.sender.ended()
    }
}

/// Waits until the deadline has passed.
async fn pass(deadline: Option<&Deadline>, tally: &Tally) {
    let Some(deadline) = deadline else {
        return std::future::pending().await;
    };
    loop {
        let (now, at) = (Instant::now(), deadline(tally.mean_latency()));
        let left = at.map_or(LOOK, |at| at.saturating_duration_since(now));
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOK)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;
    use crate::config::SteadyStart;
    use crate::load::steady::steady;
    use crate::load::wave::wave;
    use crate::load::window_tests::completed;

    /// Answers one request, after 20 ms, and no other.
    struct OneAnswer {
        clock: Clock,
        answered: AtomicBool,
    }

    impl Target for OneAnswer {
        async fn request(&self, _: &AtomicU32) -> RequestRecord {
            if self.answered.swap(true, Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let start_ns = self.clock.now_ns();
            tokio::time::sleep(Duration::from_millis(20)).await;
            completed(start_ns, start_ns, self.clock.now_ns(), 1)
        }
    }

    #[test]
    fn a_deadline_may_follow_from_the_requests_of_the_first_round() {
        const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();
        let pacings: [fn(u64) -> Pacing; 3] = [
            |begin_ns| steady(begin_ns, TWO, SteadyStart::Together),
            |begin_ns| steady(begin_ns, TWO, SteadyStart::Staggered),
            |begin_ns| wave(begin_ns, TWO, SteadyStart::Together),
        ];
        for pacing in pacings {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(2).enable_time().build().unwrap();
            let clock = Clock::start();
            let target = Arc::new(OneAnswer {
                clock,
                answered: AtomicBool::new(false),
            });
            let started = Instant::now();
            let mut load = Load::start(runtime.handle().clone(), target, pacing, clock);
            load.end_by(move |latency| Some(started + 10 * latency?));
            let window = load.window(1);
            assert!(load.is_cut());
            assert_eq!((window.rounds, window.requests.len()), (0, 1));
            let latency = load.mean_latency().expect("an answer");
            assert!(latency >= Duration::from_millis(20), "{latency:?}");
            assert!(started.elapsed() >= 10 * latency);
        }
    }
}
