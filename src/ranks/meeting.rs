//! Agreement of ranks during a run: when a point starts, when it has been measured long enough, and how
//! the run ended.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::liveness::{LivenessCheck, heartbeat};
use super::message_store::{MessageStore, POLL, unix_ns};
use super::repeated::Repeated;
use super::signal_relay::SignalRelay;
use super::{MeetingError, Ranks};
use crate::interrupt::Interrupt;

/// From the moment when all ranks are ready until the load starts: time for the other ranks to read the
/// message of rank 0. A rank that reads it later starts late, which is measured and costs only time.
pub(crate) const START_AHEAD: Duration = Duration::from_secs(1);

/// After a signal, a rank without a heartbeat for this time counts as lost: whoever sent the signal waits for the end.
const LOST_AFTER_SIGNAL: Duration = Duration::from_secs(10);

/// What rank 0 decides for all ranks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decided {
    /// The seed of prompts.
    pub seed: u64,
    /// Prefix of every request's `X-Request-Id`; ranks use different indices, so the ids differ.
    pub request_id_prefix: String,
    /// The run id of all records.
    pub run_id: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct GaveUp {
    rank: usize,
    reason: String,
}

/// When a point's load starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Start {
    /// At this time (ns since 1970).
    At(u64),
    /// Not at all, for this reason.
    Not(String),
}

/// All ranks have measured long enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Enough<R> {
    /// When rank 0 knew (ns since 1970, of its clock): no rank stops sending before it.
    pub at_unix_ns: u64,
    /// What each rank reported, by rank; empty except in rank 0.
    pub remarks: Vec<R>,
}

/// The connection of this rank to the other ranks of a run.
///
/// If it is dropped before it is [closed](Meeting::close), it tells the others that this rank has ended.
pub(crate) struct Meeting {
    pub(super) ranks: Ranks,
    decided: Decided,
    pub(super) timeout: Duration,
    /// Messages of the rendezvous, removed when the run has ended well.
    rendezvous: Vec<PathBuf>,
    /// Messages of the run.
    pub(super) messages: MessageStore,
    heartbeat: Option<Repeated>,
    signal_relay: Option<SignalRelay>,
    pub(super) interrupt: Interrupt,
    /// For each rank the shortest time from sending a message, by its clock, to reading it, by this rank's
    /// clock (ns).
    least_delay_ns: RefCell<Vec<Option<i64>>>,
    closed: Cell<bool>,
}

impl Meeting {
    pub(super) fn new(
        ranks: Ranks,
        decided: Decided,
        timeout: Duration,
        rendezvous: Vec<PathBuf>,
        messages: MessageStore,
        interrupt: &Interrupt,
    ) -> std::io::Result<Meeting> {
        fs::create_dir_all(messages.directory())?;
        Ok(Meeting {
            heartbeat: Some(heartbeat(messages.clone(), ranks.rank(), timeout)?),
            signal_relay: Some(SignalRelay::start(messages.clone(), interrupt.clone())?),
            interrupt: interrupt.clone(),
            least_delay_ns: RefCell::new(vec![None; ranks.size()]),
            ranks,
            decided,
            timeout,
            rendezvous,
            messages,
            closed: Cell::new(false),
        })
    }

    /// Rank and size.
    pub fn ranks(&self) -> Ranks {
        self.ranks
    }

    /// The decisions of rank 0.
    pub fn decided(&self) -> &Decided {
        &self.decided
    }

    /// Tells the other ranks why this one cannot continue; they end as well.
    pub fn give_up(&self, reason: &str) {
        self.closed.set(true);
        // Only the first reason matters: the others follow from it.
        if self.check_gave_up().is_ok() {
            let message = GaveUp {
                rank: self.ranks.rank(),
                reason: reason.to_owned(),
            };
            // If it cannot be written, the other ranks notice the missing heartbeats.
            let _ = self.messages.send(GAVE_UP, message);
        }
    }

    /// Reports that this rank is ready for a point, or its problem, and waits for the common start. After a signal no
    /// point starts.
    ///
    /// # Errors
    /// [`MeetingError`] if a rank has ended or given up.
    pub fn start(&self, point: u64, problem: Option<&str>) -> Result<Start, MeetingError> {
        let rank = self.ranks.rank();
        let ready = |rank| format!("ready-{point}-{rank}");
        let start = format!("start-{point}");
        self.messages.send(&ready(rank), problem)?;
        if !self.ranks.leads() {
            return self.wait(0, "start of a point", || {
                let decision = self.read(0, &start);
                // Rank 0 may have ended the run without this point.
                let has_ended = || self.messages.read::<u8>(ENDED).map(drop);
                decision.or_else(|| has_ended().and_then(|()| self.not_after_signal()))
            });
        }
        let mut problems = Vec::new();
        for rank in 0..self.ranks.size() {
            let problem = self.wait(rank, "readiness", || {
                let interrupted = || self.not_after_signal().map(Err);
                self.read(rank, &ready(rank)).map(Ok).or_else(interrupted)
            })?;
            match problem {
                Ok(None) => {}
                Ok(Some::<String>(problem)) => problems.push(format!("rank {rank}: {problem}")),
                Err(not) => {
                    self.messages.send(&start, &not)?;
                    return Ok(not);
                }
            }
        }
        let decision = match problems.is_empty() {
            true => Start::At(unix_ns() + START_AHEAD.as_nanos() as u64),
            false => Start::Not(problems.join("; ")),
        };
        self.messages.send(&start, &decision)?;
        Ok(decision)
    }

    /// The decision after a signal; `None` without one.
    fn not_after_signal(&self) -> Option<Start> {
        self.interrupt.why_partial().map(Start::Not)
    }

    /// Reports that this rank has measured long enough, with `remark`, and waits until the first `sharers` ranks have.
    ///
    /// `meanwhile` is called with every poll for a message.
    ///
    /// # Errors
    /// [`MeetingError`] if a rank has ended or given up.
    pub fn enough<R: Serialize + DeserializeOwned>(
        &self,
        point: u64,
        sharers: usize,
        remark: &R,
        mut meanwhile: impl FnMut(),
    ) -> Result<Enough<R>, MeetingError> {
        let enough = |rank| format!("enough-{point}-{rank}");
        let stop = format!("stop-{point}");
        self.messages.send(&enough(self.ranks.rank()), remark)?;
        let mut remarks = Vec::new();
        if !self.ranks.leads() {
            let at_unix_ns = self.wait_for(0, &stop, "end of a point", &mut meanwhile)?;
            return Ok(Enough {
                at_unix_ns,
                remarks,
            });
        }
        for rank in 0..sharers {
            remarks.push(self.wait_for(rank, &enough(rank), "end of a point", &mut meanwhile)?);
        }
        let at_unix_ns = unix_ns();
        self.messages.send(&stop, at_unix_ns)?;
        Ok(Enough {
            at_unix_ns,
            remarks,
        })
    }

    /// Reports that this rank sends no more requests of a point, and waits until the first `sharers` ranks
    /// have reported it.
    ///
    /// # Errors
    /// [`MeetingError`] if a rank has ended or given up.
    pub fn drained(&self, point: u64, sharers: usize) -> Result<(), MeetingError> {
        let drained = |rank| format!("drained-{point}-{rank}");
        self.messages.send(&drained(self.ranks.rank()), ())?;
        for rank in 0..sharers {
            let () = self.wait_for(rank, &drained(rank), "end of a load", &mut || {})?;
        }
        Ok(())
    }

    /// Path of the record of a rank's part of a point.
    pub fn part(&self, point: u64, rank: usize) -> PathBuf {
        self.messages.path(&format!("part-{point}-{rank}"))
    }

    /// Waits until a rank has written its part of a point.
    ///
    /// # Errors
    /// [`MeetingError`] if the rank has ended or some rank has given up.
    pub fn wait_for_part(&self, point: u64, rank: usize) -> Result<(), MeetingError> {
        let path = self.part(point, rank);
        self.wait(rank, "part", || path.exists().then_some(()))
    }

    /// Least difference by which the clock of `rank` is ahead of this rank's (ms): a message that was read
    /// before it was sent shows it.
    pub fn clock_ahead_ms(&self, rank: usize) -> f64 {
        let delay_ns = self.least_delay_ns.borrow()[rank].unwrap_or(0);
        (-delay_ns).max(0) as f64 * 1e-6
    }

    /// Ends the run. Rank 0 sends its exit code, and removes the messages if the run succeeded; the other
    /// ranks wait for that, so that a scheduler that ends all processes with the first that fails does not
    /// end rank 0 too early. Returns rank 0's code; `code` itself after [`Meeting::give_up`].
    ///
    /// # Errors
    /// [`MeetingError`] if rank 0 has ended or some rank has given up.
    pub fn close(mut self, code: u8) -> Result<u8, MeetingError> {
        if self.closed.get() {
            return Ok(code);
        }
        let left = |rank| format!("left-{rank}");
        if !self.ranks.leads() {
            let code = self.wait_for(0, ENDED, "end of the run", &mut || {});
            self.closed.set(true);
            self.fall_silent();
            // Without this message rank 0 does not clean up.
            let _ = self.messages.send(&left(self.ranks.rank()), ());
            return code;
        }
        self.fall_silent();
        // Another rank's signal may have come last.
        let code = self.interrupt.exit_code().unwrap_or(code);
        self.end(code)?;
        let mut others = 1..self.ranks.size();
        let all_left = others.all(|rank| {
            self.wait_for::<()>(rank, &left(rank), "leave message", &mut || {})
                .is_ok()
        });
        if code == 0 && all_left {
            // Left-over files do no harm.
            let _ = fs::remove_dir_all(self.messages.directory());
            let sent = self.rendezvous.iter();
            sent.for_each(|path| drop(fs::remove_file(path)));
        }
        Ok(code)
    }

    /// Tells the other ranks that rank 0 has ended the run with this exit code.
    pub(super) fn end(&mut self, code: u8) -> std::io::Result<()> {
        self.fall_silent();
        self.closed.set(true);
        self.messages.send(ENDED, code)
    }

    /// Neither a heartbeat nor a signal may follow the last message: it would create the directory again.
    fn fall_silent(&mut self) {
        self.heartbeat = None;
        self.signal_relay = None;
    }

    /// Waits for a message of `rank` and returns its content.
    fn wait_for<T: DeserializeOwned>(
        &self,
        rank: usize,
        name: &str,
        awaited: &'static str,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<T, MeetingError> {
        self.wait(rank, awaited, || {
            meanwhile();
            self.read(rank, name)
        })
    }

    /// The content of a message of `rank`; `None` before it is sent.
    fn read<T: DeserializeOwned>(&self, rank: usize, name: &str) -> Option<T> {
        let message = self.messages.read::<T>(name)?;
        let delay_ns = unix_ns() as i64 - message.sent_unix_ns as i64;
        let least = &mut self.least_delay_ns.borrow_mut()[rank];
        *least = Some(least.map_or(delay_ns, |least| least.min(delay_ns)));
        Some(message.content)
    }

    /// Polls for something from `rank` until it is available, some rank gives up, or `rank` has ended.
    fn wait<T>(
        &self,
        rank: usize,
        awaited: &'static str,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<T, MeetingError> {
        let mut liveness = LivenessCheck::new(rank, self.timeout);
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            self.check_gave_up()?;
            let (timeout, limit) = match self.interrupt.came() {
                true if LOST_AFTER_SIGNAL < self.timeout => (LOST_AFTER_SIGNAL, "after a signal"),
                _ => (self.timeout, "READY_TIMEOUT"),
            };
            if liveness.has_ended(&self.messages, timeout) {
                return Err(MeetingError::Gone {
                    rank,
                    seconds: timeout.as_secs_f64(),
                    limit,
                    awaited,
                });
            }
            std::thread::sleep(POLL);
        }
    }

    pub(super) fn check_gave_up(&self) -> Result<(), MeetingError> {
        match self.messages.read::<GaveUp>(GAVE_UP) {
            None => Ok(()),
            Some(message) => Err(MeetingError::GaveUp {
                rank: message.content.rank,
                reason: message.content.reason,
            }),
        }
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        if !self.closed.get() {
            self.give_up("it ended before the run did");
        }
    }
}

const GAVE_UP: &str = "gave-up";
const ENDED: &str = "ended";

#[cfg(test)]
mod tests;
