//! Drives one scheduler in real time, on a thread of its own.
//!
//! Steps follow one another without a gap while there is work: the next step's
//! time counts from the last one's deadline, so that late wake-ups do not add up.
//! Idle, the thread sleeps on its command channel; an arrival starts a step at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use tokio::sync::mpsc::UnboundedSender;

use super::metrics::Metrics;
use super::output::FinishReason;
use super::scheduler::{Scheduler, Sequence, SequenceId, TokenEvent, Totals};
use super::step_time::{Slowdown, StepTime};
use super::truth::{self, TruthRecord};

/// How far behind its deadlines the driver may be and still catch up; beyond
/// that (the machine was suspended, say) time starts anew.
const MAX_CATCH_UP: Duration = Duration::from_millis(20);

/// A sequence with what is needed to answer for it.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) sequence: Sequence,
    pub(super) arrival: Instant,
    pub(super) truth: TruthRecord,
    /// Gets every token; a closed receiver aborts the sequence.
    pub(super) tokens: UnboundedSender<TokenEvent>,
}

/// What the HTTP layer asks of a driver.
#[derive(Debug)]
pub(super) enum Command {
    Submit(Box<Submission>),
    Abort(SequenceId),
    Stop,
}

/// Set when the driver has been told to stop.
struct Stopped;

struct Live {
    arrival: Instant,
    previous: Instant,
    truth: TruthRecord,
    tokens: UnboundedSender<TokenEvent>,
}

/// One replica's engine loop.
pub(super) struct Driver {
    pub(super) scheduler: Scheduler,
    pub(super) step_time: StepTime,
    pub(super) slowdown: Slowdown,
    pub(super) speed: f64,
    pub(super) rng: StdRng,
    pub(super) epoch: Instant,
    pub(super) metrics: Arc<Metrics>,
    pub(super) commands: Receiver<Command>,
}

impl Driver {
    /// Runs until told to stop or until nobody can command it any more.
    pub(super) fn run(self) {
        let mut state = State {
            scheduler: self.scheduler,
            metrics: self.metrics,
            epoch: self.epoch,
            live: HashMap::new(),
            totals: Totals::default(),
        };
        let mut rng = self.rng;
        let mut events = Vec::new();
        // End of the last step, while steps follow without a gap.
        let mut step_end: Option<Instant> = None;
        loop {
            if state.take_pending(&self.commands).is_err() {
                return;
            }
            let load = state.scheduler.schedule();
            state
                .metrics
                .observe_scheduler(&state.scheduler, &mut state.totals);
            let Some(load) = load else {
                step_end = None;
                match self.commands.recv().map(|command| state.handle(command)) {
                    Ok(Ok(())) => continue,
                    Ok(Err(Stopped)) | Err(_) => return,
                }
            };
            let now = Instant::now();
            let start = step_end.filter(|end| now.duration_since(*end) < MAX_CATCH_UP);
            let time = self.step_time.draw(&load, self.slowdown, &mut rng);
            let deadline = start.unwrap_or(now) + time.div_f64(self.speed);
            if state.wait_until(deadline, &self.commands).is_err() {
                return;
            }
            step_end = Some(deadline);
            state.scheduler.complete(&mut events);
            state.emit(&mut events);
        }
    }
}

struct State {
    scheduler: Scheduler,
    metrics: Arc<Metrics>,
    epoch: Instant,
    live: HashMap<SequenceId, Live>,
    totals: Totals,
}

impl State {
    fn take_pending(&mut self, commands: &Receiver<Command>) -> Result<(), Stopped> {
        loop {
            match commands.try_recv() {
                Ok(command) => self.handle(command)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(Stopped),
            }
        }
    }

    /// Lets a step's time pass. Commands that come meanwhile take effect at once,
    /// but new sequences get work in the next step only.
    fn wait_until(
        &mut self,
        deadline: Instant,
        commands: &Receiver<Command>,
    ) -> Result<(), Stopped> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            match commands.recv_timeout(left) {
                Ok(command) => self.handle(command)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Stopped),
            }
        }
    }

    fn handle(&mut self, command: Command) -> Result<(), Stopped> {
        match command {
            Command::Submit(submission) => {
                let Submission {
                    sequence,
                    arrival,
                    truth,
                    tokens,
                } = *submission;
                let live = Live {
                    arrival,
                    previous: arrival,
                    truth,
                    tokens,
                };
                self.live.insert(sequence.id, live);
                self.scheduler.submit(sequence);
            }
            Command::Abort(id) => self.abort(id),
            Command::Stop => return Err(Stopped),
        }
        Ok(())
    }

    fn abort(&mut self, id: SequenceId) {
        self.scheduler.abort(id);
        if let Some(live) = self.live.remove(&id) {
            truth::lock(&live.truth).finish_reason = Some(FinishReason::Abort);
            self.metrics
                .observe_end(FinishReason::Abort, live.arrival.elapsed());
        }
    }

    /// Hands the tokens of a step over, all at one time.
    fn emit(&mut self, events: &mut Vec<TokenEvent>) {
        let now = Instant::now();
        let now_ns = now.duration_since(self.epoch).as_nanos() as u64;
        for event in events.drain(..) {
            let Some(live) = self.live.get_mut(&event.sequence) else {
                continue;
            };
            let first = event.index == 0;
            {
                let mut truth = truth::lock(&live.truth);
                truth.token_ns.push(now_ns);
                truth.finish_reason = event.finish;
                if first {
                    truth.cached_prompt_tokens = event.cached_prompt_tokens;
                    self.metrics
                        .prompt_tokens
                        .inc_by(truth.prompt_tokens as u64);
                }
            }
            self.metrics
                .observe_token(first, now.duration_since(live.previous));
            live.previous = now;
            let gone = live.tokens.send(event).is_err();
            match event.finish {
                Some(reason) => {
                    self.metrics
                        .observe_end(reason, now.duration_since(live.arrival));
                    self.live.remove(&event.sequence);
                }
                None if gone => self.abort(event.sequence),
                None => {}
            }
        }
    }
}
