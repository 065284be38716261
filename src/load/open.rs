//! The open loop: requests arrive at a rate, whether or not earlier ones have ended.

use std::num::NonZeroUsize;

use super::arrivals::Arrivals;
use super::load_shape::{Constructor, LoadShape};
use super::pacing::{Pacing, Starts};
use super::timed_rounds::TimedRounds;

/// Requests arrive at a rate, whether or not earlier ones have ended.
pub static OPEN: LoadShape = LoadShape {
    id: "open",
    help: "Requests arrive at a rate, whether or not earlier ones have ended",
    constructor: Constructor::Open(open),
};

/// The pacing of requests that arrive at `arrivals` after `begin_ns`. Those that find `most_in_flight` requests in
/// flight are not sent.
pub fn open(begin_ns: u64, most_in_flight: NonZeroUsize, arrivals: Arrivals) -> Pacing {
    let windows = TimedRounds::new(begin_ns, &arrivals);
    let mut starts = OpenStarts {
        begin_ns,
        next_ns: None,
        arrivals,
    };
    starts.advance();
    Pacing {
        most_in_flight,
        is_scheduled: true,
        starts: Box::new(starts),
        windows: Box::new(windows),
    }
}

#[derive(Debug)]
struct OpenStarts {
    begin_ns: u64,
    arrivals: Arrivals,
    next_ns: Option<u64>,
}

impl Starts for OpenStarts {
    fn next_ns(&self) -> Option<u64> {
        self.next_ns
    }

    fn advance(&mut self) {
        let next = self.arrivals.next();
        self.next_ns = next.map(|after_ns| self.begin_ns.saturating_add(after_ns));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::client::{Clock, FailureCause, Outcome, RequestRecord};
    use crate::config::ArrivalProcess;
    use crate::load::window_tests::completed;
    use crate::load::{Load, Target};

    /// Answers at once, but for the requests from `frozen_from` on, which it never answers.
    struct Answers {
        clock: Clock,
        sent: AtomicUsize,
        frozen_from: usize,
    }

    impl Target for Answers {
        async fn request(&self, _: &AtomicU32) -> RequestRecord {
            if self.sent.fetch_add(1, Ordering::SeqCst) >= self.frozen_from {
                std::future::pending::<()>().await;
            }
            let now_ns = self.clock.now_ns();
            completed(now_ns, now_ns, now_ns + 1, 1)
        }
    }

    fn start(runtime: &tokio::runtime::Runtime, frozen_from: usize) -> (Load, Arc<Answers>) {
        let clock = Clock::start();
        let target = Arc::new(Answers {
            clock,
            sent: AtomicUsize::new(0),
            frozen_from,
        });
        const FIVE: NonZeroUsize = NonZeroUsize::new(5).unwrap();
        let arrivals = Arrivals::new(400.0, ArrivalProcess::Poisson, 3);
        let pacing = |begin_ns| open(begin_ns, FIVE, arrivals);
        let handle = runtime.handle().clone();
        (
            Load::start(handle, Arc::clone(&target), pacing, clock),
            target,
        )
    }

    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_time().build().unwrap()
    }

    #[test]
    fn requests_are_sent_when_they_arrive_and_wait_from_then_on() {
        let runtime = runtime();
        let (mut load, _) = start(&runtime, usize::MAX);
        let window = load.window(10);
        let arrivals = Arrivals::new(400.0, ArrivalProcess::Poisson, 3);
        let wanted = BTreeSet::from_iter(arrivals.take(100 + 10 * window.requests.len()));
        let intended = Vec::from_iter(window.requests.iter().map(|r| r.intended_ns));
        let first = *intended.iter().min().expect("requests");
        // Whatever the machine was busy with, and in whatever order they ended, the times are those of the sequence.
        let fits = |begin: &u64| {
            intended
                .iter()
                .all(|at| wanted.contains(&(at - first + begin)))
        };
        assert!(wanted.iter().any(fits));
        for request in window.requests.iter() {
            assert!(request.is_scheduled && request.intended_ns <= request.start_ns);
            assert_eq!(request.e2el_from_ns(), request.intended_ns);
        }
        assert_eq!(window.rounds, 10);
        load.abandon();
    }

    /// Answers after a moment, and notes which thread begins each request.
    struct Begun {
        clock: Clock,
        by: Mutex<Vec<Option<String>>>,
    }

    impl Target for Begun {
        async fn request(&self, _: &AtomicU32) -> RequestRecord {
            let by = thread::current().name().map(str::to_owned);
            self.by.lock().expect("no panic").push(by);
            let start_ns = self.clock.now_ns();
            tokio::time::sleep(Duration::from_millis(2)).await;
            completed(start_ns, start_ns, self.clock.now_ns(), 1)
        }
    }

    #[test]
    fn the_thread_that_waits_for_an_arrival_sends_it_and_the_runtime_ends_it() {
        let runtime = runtime();
        let clock = Clock::start();
        let target = Arc::new(Begun {
            clock,
            by: Mutex::default(),
        });
        const FIFTY: NonZeroUsize = NonZeroUsize::new(50).unwrap();
        let arrivals = Arrivals::new(50.0, ArrivalProcess::Constant, 3);
        let pacing = |begin_ns| open(begin_ns, FIFTY, arrivals);
        let handle = runtime.handle().clone();
        let mut load = Load::start(handle, Arc::clone(&target), pacing, clock);
        let ended = load.window(10).requests.len();
        load.abandon();
        let by = target.by.lock().expect("no panic");
        // On a busy machine some are late, and left to the runtime.
        let in_time = by.iter().filter(|name| name.as_deref() == Some("arrivals"));
        assert!(in_time.count() > 0, "{by:?}");
        assert!(ended > 0 && ended <= by.len(), "{ended}: {by:?}");
    }

    #[test]
    fn arrivals_beyond_the_most_in_flight_are_counted_and_not_delayed() {
        let runtime = runtime();
        // The first request settles the load.
        let (mut load, target) = start(&runtime, 1);
        load.end_at(Some(Instant::now() + Duration::from_millis(500)));
        let window = load.window(1_000_000);
        assert_eq!(target.sent.load(Ordering::SeqCst), 6);
        assert_eq!(load.gauge().read().in_flight, 5);
        assert!(!window.requests.is_empty());
        for request in window.requests.iter() {
            let Outcome::Failed(failure) = request.outcome else {
                panic!("no request was answered");
            };
            assert_eq!(failure.cause, FailureCause::NotSent);
            assert!(failure.message.contains("5 requests were in flight"));
        }
        load.abandon();
        assert_eq!(Arc::strong_count(&target), 1, "nothing is left running");
    }

    #[test]
    fn a_drained_load_gives_what_was_in_flight() {
        let runtime = runtime();
        let (mut load, target) = start(&runtime, usize::MAX);
        let in_window = load.window(2).requests;
        let drained = load.drain();
        let counted = in_window.iter().chain(drained);
        // On a busy machine some arrive while five are in flight.
        let counted = counted.filter(RequestRecord::was_sent).count();
        let sent = target.sent.load(Ordering::SeqCst);
        // The first request settles the load and is in no window.
        assert!((1..sent).contains(&counted), "{counted} of {sent}");
    }
}
