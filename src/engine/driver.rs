//! Drives one replica's core on the wall clock, on a thread of its own.
//!
//! Steps follow one another without a gap while there is work: the next step's
//! time counts from the last one's deadline, so that late wake-ups do not add up.
//! Idle, the thread sleeps on its command channel; an arrival starts a step at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::engine_core::EngineCore;
use super::metrics::{Metrics, SequenceProgress};
use super::output::FinishReason;
use super::scheduler::{Sequence, SequenceId, TokenEvent, Totals};
use super::truth::{self, TruthRecord};

/// The largest delay behind its deadlines that the driver catches up. After a larger one,
/// such as when the machine was suspended, deadlines start from the present time.
const MAX_CATCH_UP: Duration = Duration::from_millis(20);

/// Engine time on the wall clock: nanoseconds since the epoch, times the speed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScaledClock {
    pub(super) epoch: Instant,
    /// Engine seconds per second.
    pub(super) speed: f64,
}

impl ScaledClock {
    fn engine_ns(&self, at: Instant) -> u64 {
        (at.duration_since(self.epoch).as_nanos() as f64 * self.speed) as u64
    }

    fn instant(&self, engine_ns: u64) -> Instant {
        let real_ns = engine_ns as f64 / self.speed;
        // Limits a step that would exceed the range of the clock.
        const YEAR: Duration = Duration::from_secs(31_536_000);
        self.epoch + Duration::from_nanos(real_ns as u64).min(YEAR)
    }

    /// Wall-clock nanoseconds since the epoch.
    fn real_ns(&self, at: Instant) -> u64 {
        at.duration_since(self.epoch).as_nanos() as u64
    }
}

/// The sequences of a request, and where their tokens go.
#[derive(Debug)]
pub(super) struct Submission {
    /// One for each choice, in the order of the choices; their ids follow one another.
    pub(super) sequences: Vec<Sequence>,
    pub(super) arrival: Instant,
    pub(super) truth: TruthRecord,
    /// Gets every token; a closed receiver aborts the sequences.
    pub(super) tokens: UnboundedSender<TokenEvent>,
}

/// A command of the HTTP layer to a driver.
#[derive(Debug)]
pub(super) enum DriverCommand {
    Submit(Box<Submission>),
    Abort(SequenceId),
    Stop,
}

/// The driver was told to stop.
struct Stopped;

/// A sequence in the frontend, waiting or running.
struct LiveSequence {
    progress: SequenceProgress,
    choice: usize,
    truth: TruthRecord,
    tokens: UnboundedSender<TokenEvent>,
}

/// One replica's engine loop.
pub(super) struct Driver {
    core: EngineCore,
    clock: ScaledClock,
    metrics: Arc<Metrics>,
    live: HashMap<SequenceId, LiveSequence>,
    totals: Totals,
}

impl Driver {
    pub(super) fn new(core: EngineCore, clock: ScaledClock, metrics: Arc<Metrics>) -> Driver {
        Driver {
            core,
            clock,
            metrics,
            live: HashMap::new(),
            totals: Totals::default(),
        }
    }

    /// Runs until told to stop, or until all command senders are gone.
    pub(super) fn run(mut self, commands: Receiver<DriverCommand>) {
        // Both ways to end are intended.
        let Err(Stopped) = self.steps(&commands);
    }

    fn steps(
        &mut self,
        commands: &Receiver<DriverCommand>,
    ) -> Result<std::convert::Infallible, Stopped> {
        let mut events = Vec::new();
        // End of the last step (engine time), while steps follow without a gap.
        let mut last_end_ns: Option<u64> = None;
        loop {
            self.take_pending(commands)?;
            let now = Instant::now();
            let in_time =
                |end: &u64| now.saturating_duration_since(self.clock.instant(*end)) < MAX_CATCH_UP;
            let start_ns = last_end_ns
                .filter(in_time)
                .unwrap_or_else(|| self.clock.engine_ns(now));
            let step_ns = self.core.begin_step(start_ns);
            self.observe(start_ns);
            let Some(step_ns) = step_ns else {
                last_end_ns = None;
                self.wait_for_work(commands)?;
                continue;
            };
            let end_ns = start_ns.saturating_add(step_ns);
            self.wait_until(self.clock.instant(end_ns), commands)?;
            last_end_ns = Some(end_ns);
            self.core.end_step(&mut events);
            self.emit(&mut events);
        }
    }

    fn take_pending(&mut self, commands: &Receiver<DriverCommand>) -> Result<(), Stopped> {
        loop {
            match commands.try_recv() {
                Ok(command) => self.handle(command)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(Stopped),
            }
        }
    }

    /// Sleeps until a command comes or a sequence leaves the frontend.
    fn wait_for_work(&mut self, commands: &Receiver<DriverCommand>) -> Result<(), Stopped> {
        match self.core.next_entry_ns() {
            Some(entry_ns) => self.wait_until(self.clock.instant(entry_ns), commands),
            None => match commands.recv() {
                Ok(command) => self.handle(command),
                Err(_) => Err(Stopped),
            },
        }
    }

    /// Waits until the deadline. Commands take effect at once, but new sequences are
    /// scheduled in the next step only.
    fn wait_until(
        &mut self,
        deadline: Instant,
        commands: &Receiver<DriverCommand>,
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

    fn handle(&mut self, command: DriverCommand) -> Result<(), Stopped> {
        match command {
            DriverCommand::Submit(submission) => self.submit(*submission),
            DriverCommand::Abort(id) => self.abort(id),
            DriverCommand::Stop => return Err(Stopped),
        }
        Ok(())
    }

    fn submit(&mut self, submission: Submission) {
        let arrival_ns = self.clock.engine_ns(submission.arrival);
        for (choice, sequence) in submission.sequences.into_iter().enumerate() {
            let live = LiveSequence {
                progress: SequenceProgress::new(submission.arrival, sequence.prompt.len()),
                choice,
                truth: submission.truth.clone(),
                tokens: submission.tokens.clone(),
            };
            self.live.insert(sequence.id, live);
            self.core.submit(arrival_ns, sequence);
        }
    }

    fn abort(&mut self, id: SequenceId) {
        self.core.abort(id);
        if let Some(live) = self.live.remove(&id) {
            let reason = FinishReason::Abort;
            truth::lock(&live.truth).choices[live.choice].finish_reason = Some(reason);
            self.metrics
                .observe_end(reason, &live.progress, Instant::now());
        }
    }

    /// Publishes the queues' state at the start of a step.
    fn observe(&mut self, start_ns: u64) {
        let scheduled = self.clock.instant(start_ns);
        for id in self.core.scheduler().admitted() {
            if let Some(live) = self.live.get_mut(id) {
                live.progress.scheduled = Some(scheduled);
                truth::lock(&live.truth).choices[live.choice].scheduled_ns =
                    Some(self.clock.real_ns(scheduled));
            }
        }
        self.metrics.observe_queues(&self.core, &mut self.totals);
    }

    /// Sends the tokens of a step, all at the same time.
    fn emit(&mut self, events: &mut Vec<TokenEvent>) {
        let now = Instant::now();
        let now_ns = self.clock.real_ns(now);
        self.metrics.observe_step(events.len());
        for event in events.drain(..) {
            let Some(live) = self.live.get_mut(&event.sequence) else {
                continue;
            };
            {
                let mut truth = truth::lock(&live.truth);
                let choice = &mut truth.choices[live.choice];
                choice.token_ns.push(now_ns);
                choice.finish_reason = event.finish;
                choice.cached_prompt_tokens = event.cached_prompt_tokens;
            }
            self.metrics.observe_token(&event, &mut live.progress, now);
            let gone = live.tokens.send(event).is_err();
            match event.finish {
                Some(reason) => {
                    self.metrics.observe_end(reason, &live.progress, now);
                    self.live.remove(&event.sequence);
                }
                None if gone => self.abort(event.sequence),
                None => {}
            }
        }
    }
}
