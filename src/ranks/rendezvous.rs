//! How the ranks of a run find each other among whatever earlier runs have left.
//!
//! In a directory that all of them see, the hall, each posts a fresh random number; rank 0 posts an
//! invitation with the numbers of all of them, and a rank follows no invitation that lacks its own. The
//! run's notes lie in a directory of its own below, so none of them can be of another run.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::board::{Board, POLL};
use super::meeting::Decided;
use super::{Meeting, MeetingError, Ranks};

/// Rank 0's note to those it has seen.
#[derive(Debug, Serialize, Deserialize)]
struct Invitation {
    /// Name of the run's directory.
    run: String,
    /// The random number of each rank, by rank; rank 0 needs none.
    numbers: Vec<u64>,
    plan: Value,
    decided: Decided,
}

impl Meeting {
    /// Meets the other ranks in `directory`, which all of them see, within `patience`.
    ///
    /// `plan` is what must be equal in all ranks: an object. Rank 0's `decided` becomes that of all.
    ///
    /// # Errors
    /// [`MeetingError`]: who did not come, or came with another plan.
    pub fn join(
        ranks: Ranks,
        directory: &Path,
        patience: Duration,
        plan: Value,
        decided: Decided,
    ) -> Result<Meeting, MeetingError> {
        let hall = Board::at(directory.to_path_buf());
        match ranks.leads() {
            true => Meeting::invite(ranks, hall, patience, plan, decided),
            false => Meeting::follow(ranks, hall, patience, &plan),
        }
    }

    fn invite(
        ranks: Ranks,
        hall: Board,
        patience: Duration,
        plan: Value,
        decided: Decided,
    ) -> Result<Meeting, MeetingError> {
        let run = format!("run-{:016x}", rand::random::<u64>());
        let mut invitation = Invitation {
            run,
            numbers: Vec::new(),
            plan,
            decided,
        };
        let board = Board::at(hall.directory().join(&invitation.run));
        let meeting = Meeting::at(ranks, invitation.decided.clone(), patience, hall, board)?;
        match meeting.gather(&mut invitation) {
            Ok(()) => Ok(meeting),
            Err(error) => {
                meeting.give_up(&error.to_string());
                Err(error)
            }
        }
    }

    /// Invites whoever is in the hall until all ranks of this run have followed.
    fn gather(&self, invitation: &mut Invitation) -> Result<(), MeetingError> {
        let begin = Instant::now();
        loop {
            let number = |rank| self.hall.read::<u64>(&hello(rank)).map(|note| note.what);
            let numbers: Vec<Option<u64>> = (1..self.ranks.size()).map(number).collect();
            let mut missing: Vec<usize> = (1..self.ranks.size())
                .filter(|rank| numbers[rank - 1].is_none())
                .collect();
            if missing.is_empty() {
                let numbers: Vec<u64> = std::iter::once(0)
                    .chain(numbers.into_iter().flatten())
                    .collect();
                // A number that changes was one of an earlier run.
                if invitation.numbers != numbers {
                    invitation.numbers = numbers;
                    self.hall.post(INVITATION, &invitation)?;
                }
                let joined = |rank: &usize| {
                    let note = self.board.read::<u64>(&joined(*rank));
                    note.is_some_and(|note| note.what == invitation.numbers[*rank])
                };
                missing = (1..self.ranks.size())
                    .filter(|rank| !joined(rank))
                    .collect();
            }
            if missing.is_empty() {
                return Ok(());
            }
            self.check_gave_up()?;
            if begin.elapsed() >= self.patience {
                return Err(missing_ranks(
                    missing,
                    self.ranks,
                    &self.hall,
                    self.patience,
                ));
            }
            std::thread::sleep(POLL);
        }
    }

    fn follow(
        ranks: Ranks,
        hall: Board,
        patience: Duration,
        plan: &Value,
    ) -> Result<Meeting, MeetingError> {
        let begin = Instant::now();
        let number = rand::random::<u64>();
        hall.post(&hello(ranks.rank()), number)?;
        let invitation = loop {
            let invitation = hall.read::<Invitation>(INVITATION).map(|note| note.what);
            let invited = |i: &Invitation| i.numbers.get(ranks.rank()) == Some(&number);
            if let Some(invitation) = invitation.filter(invited) {
                break invitation;
            }
            if begin.elapsed() >= patience {
                return Err(missing_ranks(vec![0], ranks, &hall, patience));
            }
            std::thread::sleep(POLL);
        };
        let board = Board::at(hall.directory().join(&invitation.run));
        let meeting = Meeting::at(ranks, invitation.decided, patience, hall, board)?;
        if let Some(error) = difference(ranks.rank(), plan, &invitation.plan) {
            meeting.give_up(&error.to_string());
            return Err(error);
        }
        meeting.board.post(&joined(ranks.rank()), number)?;
        Ok(meeting)
    }

    /// Takes away what this run has posted in the hall.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn clear_hall(&self) -> std::io::Result<()> {
        let hellos = (1..self.ranks.size()).map(hello);
        hellos
            .chain([INVITATION.to_owned()])
            .try_for_each(|note| std::fs::remove_file(self.hall.path(&note)))
    }
}

fn missing_ranks(
    missing: Vec<usize>,
    ranks: Ranks,
    hall: &Board,
    patience: Duration,
) -> MeetingError {
    MeetingError::Missing {
        ranks: missing,
        of: ranks.size(),
        seconds: patience.as_secs_f64(),
        directory: hall.directory().display().to_string(),
    }
}

const INVITATION: &str = "invitation";

fn hello(rank: usize) -> String {
    format!("hello-{rank}")
}

fn joined(rank: usize) -> String {
    format!("joined-{rank}")
}

/// The first thing in which two plans differ.
fn difference(rank: usize, own: &Value, leader: &Value) -> Option<MeetingError> {
    let keys = |plan: &Value| -> Vec<String> {
        let object = plan.as_object().into_iter();
        object.flat_map(|object| object.keys().cloned()).collect()
    };
    let key = keys(own)
        .into_iter()
        .chain(keys(leader))
        .find(|key| own.get(key) != leader.get(key))?;
    let value = |plan: &Value| plan.get(&key).unwrap_or(&Value::Null).to_string();
    Some(MeetingError::OtherPlan {
        rank,
        own: value(own),
        leader: value(leader),
        key,
    })
}
