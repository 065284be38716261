//! Carries out the requests of a load in real time.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::pacing::{Runner, Starts};
use super::slots::Slots;
use super::target::Target;
use super::window::Finished;
use crate::client::{Clock, Failure, FailureCause, Outcome, RequestRecord};

/// Ends a window early.
pub(super) type EarlyEnd<'e> = std::pin::Pin<&'e mut (dyn Future<Output = ()> + 'e)>;

/// Sends requests when a pacing starts them, and yields those that have ended. None of its methods may be called from
/// within the runtime.
pub(super) struct Sender {
    shared: Arc<SenderShared>,
    finished: UnboundedReceiver<thread::Result<Finished>>,
    /// Starts what is due; `None` once all requests are broken off.
    timer: Option<JoinHandle<()>>,
}

/// What the timer and the requests in flight share.
struct SenderShared {
    runtime: Handle,
    clock: Clock,
    slots: Arc<Slots>,
    is_scheduled: bool,
    /// Sends the requests of a slot, the first one intended at a time (ns).
    send: Box<dyn Fn(Arc<SenderShared>, usize, u64) -> BoxFuture<'static, ()> + Send + Sync>,
    finished: UnboundedSender<thread::Result<Finished>>,
    state: Mutex<SenderState>,
    /// Another request is due next, or the load has stopped.
    changed: Condvar,
}

struct SenderState {
    starts: Box<dyn Starts>,
    /// The slots that no request in flight has.
    free: Vec<usize>,
    in_flight: JoinSet<()>,
    /// Set when no further request is to be sent.
    is_stopped: bool,
}

impl Sender {
    pub fn start<T: Target>(
        runtime: Handle,
        target: Arc<T>,
        slots: Arc<Slots>,
        clock: Clock,
        is_scheduled: bool,
        starts: Box<dyn Starts>,
    ) -> Sender {
        let (sender, finished) = unbounded_channel();
        let state = SenderState {
            starts,
            free: (0..slots.concurrency()).rev().collect(),
            in_flight: JoinSet::new(),
            is_stopped: false,
        };
        let shared = Arc::new(SenderShared {
            runtime,
            clock,
            slots,
            is_scheduled,
            send: Box::new(move |shared, slot, intended_ns| {
                send(shared, Arc::clone(&target), slot, intended_ns).boxed()
            }),
            finished: sender,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let due = Arc::clone(&shared);
        // A thread of its own: the runtime's timers come a millisecond late, a thread's 0.1 ms.
        let timer = thread::Builder::new()
            .name("arrivals".to_owned())
            .spawn(move || due.start_due())
            .expect("a thread can be started");
        Sender {
            shared,
            finished,
            timer: Some(timer),
        }
    }

    /// What a window is cut from, until `end`.
    pub fn until<'s>(&'s mut self, end: EarlyEnd<'s>) -> Until<'s> {
        Until { sender: self, end }
    }

    /// Sends no further request; returns those in flight.
    fn stop(&self) -> JoinSet<()> {
        let mut state = self.shared.lock();
        state.is_stopped = true;
        self.shared.changed.notify_one();
        std::mem::take(&mut state.in_flight)
    }

    /// Breaks off what is in flight, and waits until it has ended.
    pub fn break_off(&mut self) {
        self.drain(std::pin::pin!(std::future::ready(())));
    }

    /// The requests that have ended since the last call and are in no window, in the order of their ends; does not
    /// wait.
    pub fn ended(&mut self) -> Vec<RequestRecord> {
        let ended = std::iter::from_fn(|| self.finished.try_recv().ok());
        ended.map(|finished| raise_panic(finished).record).collect()
    }

    /// Sends no further request and waits for those in flight, which are broken off at `end`.
    pub fn drain(&mut self, end: EarlyEnd<'_>) {
        let mut in_flight = self.stop();
        if let Some(timer) = self.timer.take() {
            // Its panics are those of the pacing.
            timer.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        self.shared.runtime.block_on(async {
            let all = async { while in_flight.join_next().await.is_some() {} };
            tokio::select! {
                biased;
                () = all => {}
                () = end => {}
            }
            in_flight.shutdown().await;
        });
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // Requests in flight end with the set of them, which they would keep alive.
        drop(self.stop());
    }
}

/// A panic of a request ends the load, as if the request had been called here.
fn raise_panic(finished: thread::Result<Finished>) -> Finished {
    finished.unwrap_or_else(|panic| resume_unwind(panic))
}

/// The requests of a [`Sender`] until a window ends.
pub(super) struct Until<'s> {
    sender: &'s mut Sender,
    end: EarlyEnd<'s>,
}

impl Runner for Until<'_> {
    fn now_ns(&self) -> u64 {
        self.sender.shared.clock.now_ns()
    }

    fn fill(&mut self) {
        let now_ns = self.now_ns();
        let shared = &self.sender.shared;
        let mut state = shared.lock();
        while !state.is_stopped && !state.free.is_empty() {
            shared.start(&mut state, now_ns);
        }
    }

    fn next(&mut self) -> Option<Finished> {
        let finished = &mut self.sender.finished;
        // Requests that have ended already need no wait.
        let ended = finished.try_recv().ok().or_else(|| {
            // Nothing ends once all requests are broken off.
            self.sender.timer.as_ref()?;
            self.sender.shared.runtime.block_on(async {
                tokio::select! {
                    biased;
                    ended = finished.recv() => ended,
                    () = &mut self.end => None,
                }
            })
        });
        ended.map(raise_panic)
    }
}

impl SenderShared {
    /// Starts requests when they are due, until the load stops.
    fn start_due(self: Arc<SenderShared>) {
        let mut state = self.lock();
        while !state.is_stopped {
            let now_ns = self.clock.now_ns();
            state = match state.starts.next_ns() {
                Some(due_ns) if due_ns <= now_ns => {
                    state.starts.advance();
                    self.start(&mut state, due_ns);
                    // Those that have ended need not wait for all that are due.
                    drop(state);
                    self.lock()
                }
                Some(due_ns) => {
                    let wait = Duration::from_nanos(due_ns - now_ns);
                    let woken = self.changed.wait_timeout(state, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let woken = self.changed.wait(state);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// Starts a request, if a slot is free.
    fn start(self: &Arc<SenderShared>, state: &mut SenderState, intended_ns: u64) {
        while state.in_flight.try_join_next().is_some() {}
        let Some(slot) = state.free.pop() else {
            return self.count_not_sent(intended_ns);
        };
        let request = (self.send)(Arc::clone(self), slot, intended_ns);
        state.in_flight.spawn_on(request, &self.runtime);
    }

    /// Frees the slot of a request that has ended, unless the next one starts in it at once.
    fn ended(&self, slot: usize, record: &RequestRecord) -> bool {
        let mut state = self.lock();
        let due_ns = state.starts.next_ns();
        let is_replaced = state.starts.ended(record) && !state.is_stopped;
        if !is_replaced {
            state.free.push(slot);
        }
        if state.starts.next_ns() != due_ns {
            self.changed.notify_one();
        }
        is_replaced
    }

    /// Counts a request that finds no slot free.
    fn count_not_sent(&self, intended_ns: u64) {
        let record = not_sent(intended_ns, self.clock.now_ns(), self.slots.concurrency());
        self.slots.tally.begin();
        self.slots.tally.end(&record, 0);
        self.report(record, 0);
    }

    fn report(&self, record: RequestRecord, events: u64) {
        // Nobody receives once the load has been dropped.
        let _ = self.finished.send(Ok(Finished {
            record,
            events,
            in_flight_events: self.slots.in_flight_events(),
            in_flight: self.slots.in_flight(),
        }));
    }

    /// The state is whole even if a request panicked.
    fn lock(&self) -> MutexGuard<'_, SenderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends requests in a slot, one after another, as long as each is replaced at once.
async fn send<T: Target>(
    shared: Arc<SenderShared>,
    target: Arc<T>,
    slot: usize,
    mut intended_ns: u64,
) {
    loop {
        let request = AssertUnwindSafe(target.request(shared.slots.begin(slot)));
        let mut record = match request.catch_unwind().await {
            Ok(record) => record,
            Err(panic) => {
                let _ = shared.finished.send(Err(panic));
                return;
            }
        };
        record.intended_ns = intended_ns;
        record.is_scheduled = shared.is_scheduled;
        let events = shared.slots.end(slot, &record);
        let is_replaced = shared.ended(slot, &record);
        shared.report(record, events.into());
        if !is_replaced {
            return;
        }
        // A request that fails without waiting must not keep its slot from ever yielding.
        tokio::task::yield_now().await;
        intended_ns = shared.clock.now_ns();
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
