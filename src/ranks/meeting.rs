//! How ranks agree during a run: on the instant at which a point starts, on when it has been measured
//! long enough, and on how the run ended.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::board::{Board, POLL, unix_ns};
use super::life::{Heartbeat, Vigil};
use super::{MeetingError, Ranks};

/// From the moment when rank 0 knows that all are ready until the load starts: time for the others to
/// read when that is. A rank that reads it later starts late, which is measured and costs only time.
pub(crate) const START_AHEAD: Duration = Duration::from_secs(1);

/// What rank 0 decides for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decided {
    /// The seed of prompts.
    pub seed: u64,
    /// Begin of every request's `X-Request-Id`; ranks use different indices, so the ids differ.
    pub request_id_prefix: String,
    /// What all records of the run have in common.
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
    /// At this instant (ns since 1970).
    At(u64),
    /// Not at all, for this reason.
    Not(String),
}

/// The ranks of a run, met.
///
/// Dropped before it is [closed](Meeting::close) it tells the others that this rank has ended.
pub(crate) struct Meeting {
    pub(super) ranks: Ranks,
    decided: Decided,
    pub(super) patience: Duration,
    /// Where the ranks have found each other.
    pub(super) hall: Board,
    /// Where the run's notes lie.
    pub(super) board: Board,
    heartbeat: Option<Heartbeat>,
    /// For each rank the shortest time from writing a note, by its clock, to reading it, by this one's (ns).
    least_delay_ns: RefCell<Vec<Option<i64>>>,
    closed: Cell<bool>,
}

impl Meeting {
    pub(super) fn at(
        ranks: Ranks,
        decided: Decided,
        patience: Duration,
        hall: Board,
        board: Board,
    ) -> std::io::Result<Meeting> {
        fs::create_dir_all(board.directory())?;
        Ok(Meeting {
            heartbeat: Some(Heartbeat::start(board.clone(), ranks.rank(), patience)?),
            least_delay_ns: RefCell::new(vec![None; ranks.size()]),
            ranks,
            decided,
            patience,
            hall,
            board,
            closed: Cell::new(false),
        })
    }

    /// Who this rank is.
    pub fn ranks(&self) -> Ranks {
        self.ranks
    }

    /// What rank 0 has decided.
    pub fn decided(&self) -> &Decided {
        &self.decided
    }

    /// Tells the others why this rank cannot go on; they end, too.
    pub fn give_up(&self, reason: &str) {
        self.closed.set(true);
        // The first reason stands: others follow from it.
        if self.check_gave_up().is_ok() {
            let note = GaveUp {
                rank: self.ranks.rank(),
                reason: reason.to_owned(),
            };
            // If it cannot be written, the others miss this rank's signs of life.
            let _ = self.board.post(GAVE_UP, note);
        }
    }

    /// Says that this rank is ready for a point, or why it is not, and waits for when it starts.
    ///
    /// # Errors
    /// [`MeetingError`] if a rank is gone or has given up.
    pub fn start(&self, point: u64, problem: Option<&str>) -> Result<Start, MeetingError> {
        let rank = self.ranks.rank();
        let ready = |rank| format!("ready-{point}-{rank}");
        let start = format!("start-{point}");
        self.board.post(&ready(rank), problem)?;
        if !self.ranks.leads() {
            return self.wait_for(0, &start, "start of a point", &mut || {});
        }
        let mut problems = Vec::new();
        for rank in 0..self.ranks.size() {
            let problem: Option<String> =
                self.wait_for(rank, &ready(rank), "readiness", &mut || {})?;
            problems.extend(problem.map(|problem| format!("rank {rank}: {problem}")));
        }
        let decision = match problems.is_empty() {
            true => Start::At(unix_ns() + START_AHEAD.as_nanos() as u64),
            false => Start::Not(problems.join("; ")),
        };
        self.board.post(&start, &decision)?;
        Ok(decision)
    }

    /// Says that this rank has measured long enough, and waits until the first `sharers` ranks have.
    /// Returns that instant (ns since 1970, of rank 0's clock): no rank has stopped sending before it.
    ///
    /// `meanwhile` is called as often as the notes are looked for.
    ///
    /// # Errors
    /// [`MeetingError`] if a rank is gone or has given up.
    pub fn enough(
        &self,
        point: u64,
        sharers: usize,
        mut meanwhile: impl FnMut(),
    ) -> Result<u64, MeetingError> {
        let enough = |rank| format!("enough-{point}-{rank}");
        let stop = format!("stop-{point}");
        self.board.post(&enough(self.ranks.rank()), ())?;
        if !self.ranks.leads() {
            return self.wait_for(0, &stop, "end of a point", &mut meanwhile);
        }
        for rank in 0..sharers {
            let () = self.wait_for(rank, &enough(rank), "end of a point", &mut meanwhile)?;
        }
        let at_unix_ns = unix_ns();
        self.board.post(&stop, at_unix_ns)?;
        Ok(at_unix_ns)
    }

    /// Says that this rank sends no more requests of a point, and waits until the first `sharers` ranks have
    /// said so.
    ///
    /// # Errors
    /// [`MeetingError`] if a rank is gone or has given up.
    pub fn drained(&self, point: u64, sharers: usize) -> Result<(), MeetingError> {
        let drained = |rank| format!("drained-{point}-{rank}");
        self.board.post(&drained(self.ranks.rank()), ())?;
        for rank in 0..sharers {
            let () = self.wait_for(rank, &drained(rank), "end of a load", &mut || {})?;
        }
        Ok(())
    }

    /// Where a rank's part of a point lies once it has written it.
    pub fn part(&self, point: u64, rank: usize) -> PathBuf {
        self.board.path(&format!("part-{point}-{rank}"))
    }

    /// Waits until a rank's part of a point is there.
    ///
    /// # Errors
    /// [`MeetingError`] if the rank is gone or some rank has given up.
    pub fn wait_for_part(&self, point: u64, rank: usize) -> Result<(), MeetingError> {
        let path = self.part(point, rank);
        self.wait(rank, "part", || path.exists().then_some(()))
    }

    /// By how much at least the clock of `rank` is ahead of this one's (ms), as a note that was read
    /// before it was written shows.
    pub fn clock_ahead_ms(&self, rank: usize) -> f64 {
        let delay_ns = self.least_delay_ns.borrow()[rank].unwrap_or(0);
        (-delay_ns).max(0) as f64 * 1e-6
    }

    /// Ends the run. Rank 0 says how it ended (`code`), and tidies up if it ended well; the others wait
    /// for that, so that a scheduler that ends all processes with the first that fails cannot end
    /// rank 0 at its work. Returns rank 0's code; `code` itself after [`Meeting::give_up`].
    ///
    /// # Errors
    /// [`MeetingError`] if rank 0 is gone or some rank has given up.
    pub fn close(mut self, code: u8) -> Result<u8, MeetingError> {
        if self.closed.get() {
            return Ok(code);
        }
        let left = |rank| format!("left-{rank}");
        if !self.ranks.leads() {
            let code = self.wait_for(0, ENDED, "end of the run", &mut || {});
            self.closed.set(true);
            // No sign of life may follow the last note: it would make the directory anew.
            self.heartbeat = None;
            // Without it rank 0 does not tidy up.
            let _ = self.board.post(&left(self.ranks.rank()), ());
            return code;
        }
        self.board.post(ENDED, code)?;
        self.closed.set(true);
        self.heartbeat = None;
        let mut others = 1..self.ranks.size();
        let all_left = others.all(|rank| {
            let note = self.wait_for(rank, &left(rank), "good-bye", &mut || {});
            note.is_ok_and(|()| true)
        });
        if code == 0 && all_left {
            // What stays behind is in nobody's way.
            let _ = fs::remove_dir_all(self.board.directory()).and_then(|()| self.clear_hall());
        }
        Ok(code)
    }

    /// Waits for a note of `rank` and reads it.
    fn wait_for<T: DeserializeOwned>(
        &self,
        rank: usize,
        name: &str,
        awaited: &'static str,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<T, MeetingError> {
        let note = self.wait(rank, awaited, || {
            meanwhile();
            self.board.read::<T>(name)
        })?;
        let delay_ns = unix_ns() as i64 - note.posted_unix_ns as i64;
        let least = &mut self.least_delay_ns.borrow_mut()[rank];
        *least = Some(least.map_or(delay_ns, |least| least.min(delay_ns)));
        Ok(note.what)
    }

    /// Looks for something of `rank` until it is there, some rank gives up, or `rank` is gone.
    fn wait<T>(
        &self,
        rank: usize,
        awaited: &'static str,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<T, MeetingError> {
        let mut vigil = Vigil::new(rank, self.patience);
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            self.check_gave_up()?;
            if vigil.gone(&self.board) {
                return Err(MeetingError::Gone {
                    rank,
                    seconds: self.patience.as_secs_f64(),
                    awaited,
                });
            }
            std::thread::sleep(POLL);
        }
    }

    pub(super) fn check_gave_up(&self) -> Result<(), MeetingError> {
        match self.board.read::<GaveUp>(GAVE_UP) {
            None => Ok(()),
            Some(note) => Err(MeetingError::GaveUp {
                rank: note.what.rank,
                reason: note.what.reason,
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
