//! The steady closed loop: C requests always in flight; a finished one is replaced at once.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use super::load_shape::{Constructor, LoadShape};
use super::pacing::{Pacing, Runner, Starts, Windows};
use super::window::{Boundary, Window};
use crate::client::RequestRecord;
use crate::config::SteadyStart;

/// C requests always in flight: a finished one is replaced at once.
pub static STEADY: LoadShape = LoadShape {
    id: "steady",
    help: "C requests always in flight: a finished one is replaced at once",
    constructor: Constructor::Closed(steady),
};

/// The pacing of `concurrency` requests that are always in flight. Staggered ones begin one after another, spread over
/// the time of the first one.
pub fn steady(begin_ns: u64, concurrency: NonZeroUsize, start: SteadyStart) -> Pacing {
    let is_staggered = start == SteadyStart::Staggered;
    let at_once = if is_staggered { 1 } else { concurrency.get() };
    Pacing {
        most_in_flight: concurrency,
        is_scheduled: false,
        starts: Box::new(SteadyStarts {
            due_ns: VecDeque::from(vec![begin_ns; at_once]),
            waiting: concurrency.get() - at_once,
        }),
        windows: Box::new(SteadyWindows {
            concurrency,
            boundary: Boundary {
                at_ns: begin_ns,
                in_flight_events: 0,
            },
        }),
    }
}

/// The first request of each slot.
#[derive(Debug)]
struct SteadyStarts {
    due_ns: VecDeque<u64>,
    /// Slots of a staggered start that wait for the end of the first request.
    waiting: usize,
}

impl Starts for SteadyStarts {
    fn next_ns(&self) -> Option<u64> {
        self.due_ns.front().copied()
    }

    fn advance(&mut self) {
        self.due_ns.pop_front();
    }

    fn ended(&mut self, first: &RequestRecord) -> bool {
        let waiting = std::mem::take(&mut self.waiting) as u64;
        let took_ns = first.end_ns.saturating_sub(first.start_ns);
        let share_ns = |slot: u64| took_ns.saturating_mul(slot) / (waiting + 1);
        self.due_ns
            .extend((1..=waiting).map(|slot| first.end_ns.saturating_add(share_ns(slot))));
        true
    }
}

/// Windows of rounds of C requests, each from where the one before it ended.
#[derive(Debug)]
struct SteadyWindows {
    concurrency: NonZeroUsize,
    boundary: Boundary,
}

impl Windows for SteadyWindows {
    fn window(&mut self, rounds: u64, runner: &mut dyn Runner) -> Window {
        let concurrency = self.concurrency.get();
        let mut window = self.boundary.cut(rounds, concurrency, || runner.next());
        window.count_rounds(concurrency);
        window
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::client::{Clock, Failure, FailureCause, Outcome};
    use crate::load::wave::wave;
    use crate::load::window_tests::completed;
    use crate::load::{Load, Target};

    /// Finishes a request when every place is taken, and so proves that C are in flight.
    struct Rendezvous {
        barrier: tokio::sync::Barrier,
        clock: Clock,
        in_flight: AtomicUsize,
        most: AtomicUsize,
    }

    impl Target for Rendezvous {
        async fn request(&self, events: &AtomicU32) -> RequestRecord {
            let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let start_ns = self.clock.now_ns();
            events.store(1, Ordering::Relaxed);
            self.barrier.wait().await;
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            RequestRecord {
                index: 0,
                endpoint: 0,
                intended_ns: start_ns,
                is_scheduled: false,
                start_ns,
                sent_ns: start_ns,
                end_ns: self.clock.now_ns(),
                safety_ns: 0,
                outcome: Outcome::Failed(Failure {
                    cause: FailureCause::Connect,
                    message: String::new(),
                }),
            }
        }
    }

    type NewPacing = fn(u64, NonZeroUsize, SteadyStart) -> Pacing;

    fn run(pacing: NewPacing, concurrency: usize) -> (Vec<Window>, usize) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        let clock = Clock::start();
        let target = Arc::new(Rendezvous {
            barrier: tokio::sync::Barrier::new(concurrency),
            clock,
            in_flight: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let mut load = Load::start(
            runtime.handle().clone(),
            Arc::clone(&target),
            |begin_ns| {
                let concurrency = NonZeroUsize::new(concurrency).unwrap();
                pacing(begin_ns, concurrency, SteadyStart::Together)
            },
            clock,
        );
        let windows = [1, 3, 2].map(|rounds| load.window(rounds));
        (windows.into(), target.most.load(Ordering::SeqCst))
    }

    #[test]
    fn both_shapes_keep_exactly_c_in_flight_and_give_rounds_of_c() {
        for pacing in [steady as NewPacing, wave] {
            for concurrency in [1, 2, 16] {
                let (windows, most) = run(pacing, concurrency);
                assert_eq!(most, concurrency);
                for window in &windows {
                    let expected = window.rounds as usize * concurrency;
                    assert_eq!(window.requests.len(), expected);
                    assert!(window.end_ns > window.start_ns);
                }
            }
        }
    }

    #[test]
    fn steady_windows_are_contiguous_and_wave_windows_carry_nothing() {
        let (windows, _) = run(steady, 4);
        for pair in windows.windows(2) {
            assert_eq!(pair[0].end_ns, pair[1].start_ns);
            assert_eq!(pair[0].carried_out, pair[1].carried_in);
        }
        let (windows, _) = run(wave, 4);
        assert!(
            windows
                .iter()
                .all(|w| w.carried_in == 0 && w.carried_out == 0)
        );
    }

    /// Answers the first requests at once, and the others never.
    struct Freezing {
        clock: Clock,
        answered: usize,
        sent: AtomicUsize,
        /// Requests that were broken off.
        broken_off: Arc<AtomicUsize>,
    }

    /// Counts itself when it is dropped in its wait.
    struct Waiting<'a>(&'a AtomicUsize);

    impl Drop for Waiting<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Target for Freezing {
        async fn request(&self, _: &AtomicU32) -> RequestRecord {
            if self.sent.fetch_add(1, Ordering::SeqCst) >= self.answered {
                let _waiting = Waiting(&self.broken_off);
                std::future::pending::<()>().await;
            }
            let now_ns = self.clock.now_ns();
            completed(now_ns, now_ns, now_ns + 1, 1)
        }
    }

    #[test]
    fn a_load_whose_target_freezes_ends_at_its_time_with_what_has_ended() {
        const FOUR: NonZeroUsize = NonZeroUsize::new(4).unwrap();
        for (pacing, in_flight) in [(steady as NewPacing, 4), (wave, 2)] {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_time()
                .build()
                .unwrap();
            let clock = Clock::start();
            let broken_off = Arc::new(AtomicUsize::new(0));
            let target = Arc::new(Freezing {
                clock,
                answered: 10,
                sent: AtomicUsize::new(0),
                broken_off: Arc::clone(&broken_off),
            });
            let pacing = |begin_ns| pacing(begin_ns, FOUR, SteadyStart::Together);
            let mut load = Load::start(runtime.handle().clone(), target, pacing, clock);
            assert_eq!(load.window(2).rounds, 2);
            assert!(!load.is_cut());
            load.end_at(Some(Instant::now() + Duration::from_millis(100)));
            let short = load.window(3);
            let ended = (short.rounds, short.requests.len());
            assert_eq!(
                ended,
                (0, 2),
                "two of the last round, {in_flight} in flight"
            );
            assert!(load.is_cut());
            assert_eq!(broken_off.load(Ordering::SeqCst), in_flight);
            assert_eq!(load.window(1).requests.len(), 0);
            load.abandon();
        }
    }

    /// Ends each request after a moment, and counts those it was sent.
    struct Counting {
        clock: Clock,
        sent: AtomicUsize,
    }

    impl Target for Counting {
        async fn request(&self, _: &AtomicU32) -> RequestRecord {
            self.sent.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
            let now_ns = self.clock.now_ns();
            completed(now_ns, now_ns, now_ns, 1)
        }
    }

    #[test]
    fn a_drained_load_has_ended_every_request_that_it_sent() {
        const THREE: NonZeroUsize = NonZeroUsize::new(3).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        let clock = Clock::start();
        let target = Arc::new(Counting {
            clock,
            sent: AtomicUsize::new(0),
        });
        let mut load = Load::start(
            runtime.handle().clone(),
            Arc::clone(&target),
            |begin_ns| steady(begin_ns, THREE, SteadyStart::Together),
            clock,
        );
        let mut ended = load.window(4).requests.len();
        ended += load.ended().len();
        ended += load.drain().len();
        assert!(ended >= 4 * 3);
        assert_eq!(ended, target.sent.load(Ordering::SeqCst));
    }

    /// Takes its time for each request.
    struct Slow {
        clock: Clock,
    }

    impl Target for Slow {
        async fn request(&self, _: &AtomicU32) -> RequestRecord {
            let start_ns = self.clock.now_ns();
            tokio::time::sleep(Duration::from_millis(40)).await;
            completed(start_ns, start_ns, self.clock.now_ns(), 1)
        }
    }

    #[test]
    fn a_staggered_load_begins_over_the_time_of_its_first_request() {
        const FOUR: NonZeroUsize = NonZeroUsize::new(4).unwrap();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_time().build().unwrap();
        let clock = Clock::start();
        let (handle, target) = (runtime.handle().clone(), Arc::new(Slow { clock }));
        let pacing = |begin_ns| steady(begin_ns, FOUR, SteadyStart::Staggered);
        let mut load = Load::start(handle, target, pacing, clock);
        let mut requests = Vec::from_iter(load.window(3).requests.iter());
        load.abandon();
        requests.sort_by_key(|request| request.start_ns);
        let first = &requests[0];
        let took_ns = first.end_ns - first.start_ns;
        // The first worker goes on at once; the others follow by a quarter of that time each.
        let wanted_ns = [1, 2, 3].map(|quarters| first.end_ns + took_ns * quarters / 4);
        for (request, wanted_ns) in requests[2..].iter().zip(wanted_ns) {
            assert!(request.start_ns >= wanted_ns);
        }
    }
}
