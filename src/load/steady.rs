//! The steady closed loop: C requests always in flight; a finished one is replaced at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::pacing::{End, Pacing, finished_until};
use super::slots::Slots;
use super::target::Target;
use super::window::{Boundary, Finished, Window};
use crate::client::{Clock, RequestRecord};

pub(super) struct Steady {
    runtime: Handle,
    finished: UnboundedReceiver<Finished>,
    workers: Vec<JoinHandle<()>>,
    boundary: Boundary,
    /// Set when no further request is to be sent.
    stopped: Arc<AtomicBool>,
}

impl Steady {
    pub fn start<T: Target>(
        runtime: Handle,
        target: Arc<T>,
        slots: Arc<Slots>,
        clock: Clock,
        is_staggered: bool,
    ) -> Steady {
        let (sender, finished) = unbounded_channel();
        let boundary = Boundary {
            at_ns: clock.now_ns(),
            in_flight_events: 0,
        };
        let stopped = Arc::new(AtomicBool::new(false));
        let (first_ended, first) = watch::channel(None);
        let workers = (0..slots.concurrency())
            .map(|slot| {
                let begin = match (is_staggered, slot) {
                    (false, _) => Begin::AtOnce,
                    (true, 0) => Begin::First(first_ended.clone()),
                    (true, _) => Begin::After(first.clone()),
                };
                runtime.spawn(work(
                    Arc::clone(&target),
                    Arc::clone(&slots),
                    slot,
                    clock,
                    (sender.clone(), Arc::clone(&stopped)),
                    begin,
                ))
            })
            .collect();
        Steady {
            runtime,
            finished,
            workers,
            boundary,
            stopped,
        }
    }
}

impl Pacing for Steady {
    fn window(&mut self, rounds: u64, end: End<'_>) -> Window {
        let next = finished_until(&mut self.finished, &self.runtime, end);
        let mut window = self.boundary.cut(rounds, self.workers.len(), next);
        window.count_rounds(self.workers.len());
        window
    }

    fn break_off(&mut self) {
        self.workers.iter().for_each(JoinHandle::abort);
        let running = self
            .workers
            .iter_mut()
            .filter(|worker| !worker.is_finished());
        // An error says that it was broken off.
        self.runtime.block_on(async {
            for worker in running {
                let _ = worker.await;
            }
        });
    }

    fn ended(&mut self) -> Vec<RequestRecord> {
        let ended = std::iter::from_fn(|| self.finished.try_recv().ok());
        ended.map(|finished| finished.record).collect()
    }

    fn drain(&mut self, mut end: End<'_>) -> Vec<RequestRecord> {
        self.stopped.store(true, Ordering::Relaxed);
        let mut records = Vec::new();
        let (finished, runtime) = (&mut self.finished, &self.runtime);
        runtime.block_on(async {
            loop {
                tokio::select! {
                    biased;
                    ended = finished.recv() => match ended {
                        Some(ended) => records.push(ended.record),
                        // The channel ends when the last worker has.
                        None => break,
                    },
                    () = &mut end => break,
                }
            }
        });
        self.break_off();
        records.extend(self.ended());
        records
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.abort();
        }
    }
}

/// When a worker sends its first request.
enum Begin {
    AtOnce,
    /// At once, and the others begin after it.
    First(watch::Sender<Option<Duration>>),
    /// When the first worker's first request has ended; the value is the time that it took.
    After(watch::Receiver<Option<Duration>>),
}

impl Begin {
    async fn wait(&mut self, slot: usize, concurrency: usize) {
        let Begin::After(first) = self else { return };
        // The sender is dropped only if the first worker was broken off, as this one is about to be.
        let Ok(took) = first.wait_for(Option::is_some).await.map(|took| *took) else {
            return;
        };
        let share = slot as f64 / concurrency as f64;
        tokio::time::sleep(took.unwrap_or_default().mul_f64(share)).await;
    }

    /// Lets the others begin, after the first worker's first request.
    fn ended(&mut self, record: &RequestRecord) {
        if let Begin::First(others) = self {
            let took_ns = record.end_ns.saturating_sub(record.start_ns);
            others.send_replace(Some(Duration::from_nanos(took_ns)));
            *self = Begin::AtOnce;
        }
    }
}

async fn work<T: Target>(
    target: Arc<T>,
    slots: Arc<Slots>,
    slot: usize,
    clock: Clock,
    (sender, stopped): (UnboundedSender<Finished>, Arc<AtomicBool>),
    mut begin: Begin,
) {
    begin.wait(slot, slots.concurrency()).await;
    while !stopped.load(Ordering::Relaxed) {
        let intended_ns = clock.now_ns();
        let mut record = target.request(slots.begin(slot)).await;
        record.intended_ns = intended_ns;
        begin.ended(&record);
        let events = slots.end(slot, &record);
        let in_flight_events = slots.in_flight_events();
        let finished = Finished {
            record,
            events: events.into(),
            in_flight_events,
            in_flight: slots.in_flight(),
        };
        if sender.send(finished).is_err() {
            return;
        }
        // A request that fails without waiting must not keep its worker from ever yielding.
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

    use std::time::{Duration, Instant};

    use super::*;
    use crate::client::{Failure, FailureCause, Outcome, RequestRecord};
    use crate::load::window_tests::completed;
    use crate::load::{Load, Pace};

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

    fn run(pace: fn(NonZeroUsize) -> Pace, concurrency: usize) -> (Vec<Window>, usize) {
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
            pace(NonZeroUsize::new(concurrency).unwrap()),
            clock,
        );
        let windows = [1, 3, 2].map(|rounds| load.window(rounds));
        (windows.into(), target.most.load(Ordering::SeqCst))
    }

    #[test]
    fn both_shapes_keep_exactly_c_in_flight_and_give_rounds_of_c() {
        for pace in [Pace::Steady, Pace::Wave] {
            for concurrency in [1, 2, 16] {
                let (windows, most) = run(pace, concurrency);
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
        let (windows, _) = run(Pace::Steady, 4);
        for pair in windows.windows(2) {
            assert_eq!(pair[0].end_ns, pair[1].start_ns);
            assert_eq!(pair[0].carried_out, pair[1].carried_in);
        }
        let (windows, _) = run(Pace::Wave, 4);
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
        for (pace, in_flight) in [(Pace::Steady(FOUR), 4), (Pace::Wave(FOUR), 2)] {
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
            let mut load = Load::start(runtime.handle().clone(), target, pace, clock);
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
            Pace::Steady(NonZeroUsize::new(3).unwrap()),
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
        let mut load = Load::start(handle, target, Pace::Staggered(FOUR), clock);
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
