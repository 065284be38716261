//! The open loop: requests arrive at a rate, whether or not earlier ones have ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinError, JoinSet};

use super::arrivals::Arrivals;
use super::pacing::{End, Pacing, finished_until};
use super::slots::Slots;
use super::target::Target;
use super::timed_rounds::TimedRounds;
use super::window::{Finished, Window};
use crate::client::{Clock, Failure, FailureCause, Outcome, RequestRecord};

pub(super) struct Open {
    runtime: Handle,
    finished: UnboundedReceiver<Finished>,
    /// Sends what is due; returns the requests in flight once it is stopped.
    sender: Option<JoinHandle<JoinSet<()>>>,
    stopped: Arc<AtomicBool>,
    rounds: TimedRounds,
}

impl Open {
    pub fn start<T: Target>(
        runtime: Handle,
        target: Arc<T>,
        slots: Arc<Slots>,
        clock: Clock,
        arrivals: Arrivals,
    ) -> Open {
        let (ended, finished) = unbounded_channel();
        let start_ns = clock.now_ns();
        let stopped = Arc::new(AtomicBool::new(false));
        let rounds = TimedRounds::new(start_ns, &arrivals);
        let sending = Sending {
            target,
            free: Arc::new(Mutex::new((0..slots.concurrency()).rev().collect())),
            slots,
            clock,
            ended,
            stopped: Arc::clone(&stopped),
        };
        let handle = runtime.clone();
        // A thread of its own: the runtime's timers come a millisecond late, and a thread of the runtime would have to be
        // woken after this one.
        let sender = thread::Builder::new()
            .name("arrivals".to_owned())
            .spawn(move || sending.run(&handle, start_ns, arrivals))
            .expect("a thread can be started");
        Open {
            runtime,
            finished,
            sender: Some(sender),
            stopped,
            rounds,
        }
    }

    /// Sends no further request; returns those in flight.
    fn stop(&mut self) -> JoinSet<()> {
        self.stopped.store(true, Ordering::Relaxed);
        let sender = self.sender.take().map(|sender| {
            sender.thread().unpark();
            sender.join()
        });
        match sender {
            None => JoinSet::new(),
            Some(Ok(in_flight)) => in_flight,
            // A panic of a request ends the load, as if the request had been called here.
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

/// A panic of a request ends the load, as if the request had been called here.
fn raise_panic(joined: Result<(), JoinError>) {
    if let Err(error) = joined
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

impl Pacing for Open {
    fn window(&mut self, rounds: u64, end: End<'_>) -> Window {
        let next = finished_until(&mut self.finished, &self.runtime, end);
        self.rounds.window(rounds, next)
    }

    fn break_off(&mut self) {
        let mut in_flight = self.stop();
        self.runtime.block_on(in_flight.shutdown());
    }

    fn ended(&mut self) -> Vec<RequestRecord> {
        let ended = std::iter::from_fn(|| self.finished.try_recv().ok());
        ended.map(|finished| finished.record).collect()
    }

    fn drain(&mut self, end: End<'_>) -> Vec<RequestRecord> {
        let mut in_flight = self.stop();
        self.runtime.block_on(async {
            let all = async {
                while let Some(joined) = in_flight.join_next().await {
                    raise_panic(joined);
                }
            };
            tokio::select! {
                biased;
                () = all => {}
                () = end => {}
            }
            in_flight.shutdown().await;
        });
        self.ended()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(sender) = &self.sender {
            // What is in flight ends with the thread, which owns it.
            sender.thread().unpark();
        }
    }
}

/// How a wait for an arrival went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The thread slept until then.
    InTime,
    /// The time had passed before the wait.
    Late,
}

/// Lets the system wake this thread as exactly as it can, not together with others within 50 µs.
fn wake_exactly() {
    #[cfg(target_os = "linux")]
    // Without it, the thread wakes a little later.
    let _ = nix::sys::prctl::set_timerslack(1);
}

/// What the thread of arrivals needs to send.
struct Sending<T> {
    target: Arc<T>,
    slots: Arc<Slots>,
    /// The slots that no request in flight has.
    free: Arc<Mutex<Vec<usize>>>,
    clock: Clock,
    ended: UnboundedSender<Finished>,
    stopped: Arc<AtomicBool>,
}

impl<T: Target> Sending<T> {
    fn run(self, runtime: &Handle, start_ns: u64, arrivals: Arrivals) -> JoinSet<()> {
        let mut in_flight = JoinSet::new();
        wake_exactly();
        for after_ns in arrivals {
            let intended_ns = start_ns.saturating_add(after_ns);
            let wait = self.wait_until(intended_ns);
            if self.stopped.load(Ordering::Relaxed) {
                break;
            }
            self.send(&mut in_flight, runtime, (intended_ns, wait));
            while let Some(joined) = in_flight.try_join_next() {
                raise_panic(joined);
            }
        }
        in_flight
    }

    fn wait_until(&self, at_ns: u64) -> Wait {
        let mut wait = Wait::Late;
        loop {
            let wait_ns = at_ns.saturating_sub(self.clock.now_ns());
            if wait_ns == 0 || self.stopped.load(Ordering::Relaxed) {
                return wait;
            }
            wait = Wait::InTime;
            thread::park_timeout(Duration::from_nanos(wait_ns));
        }
    }

    /// Sends the request that arrives at `intended_ns`, after this wait for it.
    fn send(
        &self,
        in_flight: &mut JoinSet<()>,
        runtime: &Handle,
        (intended_ns, wait): (u64, Wait),
    ) {
        let slot = lock(&self.free).pop();
        let Some(slot) = slot else {
            return self.count_not_sent(intended_ns);
        };
        let (target, slots) = (Arc::clone(&self.target), Arc::clone(&self.slots));
        let (free, ended) = (Arc::clone(&self.free), self.ended.clone());
        let mut request = Box::pin(async move {
            let mut record = target.request(slots.begin(slot)).await;
            record.intended_ns = intended_ns;
            record.is_scheduled = true;
            let events = slots.end(slot, &record).into();
            lock(&free).push(slot);
            // Nobody receives once the load has been dropped.
            let _ = ended.send(Finished {
                record,
                events,
                in_flight_events: slots.in_flight_events(),
                in_flight: slots.in_flight(),
            });
        });
        if wait == Wait::InTime {
            // This thread is awake; one of the runtime would have to be woken to send it.
            let _entered = runtime.enter();
            let mut context = Context::from_waker(Waker::noop());
            if request.as_mut().poll(&mut context).is_ready() {
                return;
            }
        }
        // The runtime polls it at once, and wakes it from then on.
        in_flight.spawn_on(request, runtime);
    }

    /// Counts an arrival that finds `MAX_IN_FLIGHT` requests in flight.
    fn count_not_sent(&self, intended_ns: u64) {
        let record = not_sent(intended_ns, self.clock.now_ns(), self.slots.concurrency());
        self.slots.tally.begin();
        self.slots.tally.end(&record, 0);
        let _ = self.ended.send(Finished {
            record,
            events: 0,
            in_flight_events: self.slots.in_flight_events(),
            in_flight: self.slots.in_flight(),
        });
    }
}

/// A request that arrived when `most` were in flight.
pub(crate) fn not_sent(intended_ns: u64, now_ns: u64, most: usize) -> RequestRecord {
    let message = format!("{most} requests were in flight (MAX_IN_FLIGHT)");
    RequestRecord {
        index: 0,
        endpoint: usize::MAX,
        intended_ns,
        is_scheduled: true,
        start_ns: now_ns,
        sent_ns: now_ns,
        end_ns: now_ns,
        safety_ns: 0,
        outcome: Outcome::Failed(Failure::new(FailureCause::NotSent, message)),
    }
}

/// The list is whole even if a request panicked.
fn lock(free: &Mutex<Vec<usize>>) -> std::sync::MutexGuard<'_, Vec<usize>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::num::NonZeroUsize;
    use std::sync::atomic::{AtomicU32, AtomicUsize};
    use std::time::Instant;

    use super::*;
    use crate::config::ArrivalProcess;
    use crate::load::window_tests::completed;
    use crate::load::{Load, Pace};

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
        let pace = Pace::Open {
            arrivals: Box::new(Arrivals::new(400.0, ArrivalProcess::Poisson, 3)),
            max_in_flight: NonZeroUsize::new(5).expect("five"),
        };
        let handle = runtime.handle().clone();
        (
            Load::start(handle, Arc::clone(&target), pace, clock),
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
        let pace = Pace::Open {
            arrivals: Box::new(Arrivals::new(50.0, ArrivalProcess::Constant, 3)),
            max_in_flight: NonZeroUsize::new(50).expect("some"),
        };
        let handle = runtime.handle().clone();
        let mut load = Load::start(handle, Arc::clone(&target), pace, clock);
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
