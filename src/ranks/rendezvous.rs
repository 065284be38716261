//! How the ranks of a run find each other, whatever earlier runs have left behind.
//!
//! In the rendezvous directory, which all ranks can access, each rank writes a new random number. Rank 0
//! writes an invitation with the numbers of all ranks, and a rank ignores an invitation without its own
//! number. The messages of the run are in a subdirectory of their own, so none can be of another run.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::meeting::Decided;
use super::message_store::{MessageStore, POLL};
use super::{Meeting, MeetingError, Ranks};
use crate::interrupt::Interrupt;

/// Rank 0's message to the ranks that have written their numbers.
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
    /// Connects to the other ranks through `directory`, which all of them can access, within `timeout`.
    ///
    /// `plan` is an object that must be equal in all ranks. Rank 0's `decided` is valid for all. A signal that
    /// interrupts the run of one rank interrupts that of all.
    ///
    /// # Errors
    /// [`MeetingError`] for ranks that did not join, or joined with another plan, or a signal.
    pub fn join(
        ranks: Ranks,
        directory: &Path,
        timeout: Duration,
        plan: Value,
        decided: Decided,
        interrupt: &Interrupt,
    ) -> Result<Meeting, MeetingError> {
        let rendezvous = MessageStore::new(directory.to_path_buf());
        match ranks.leads() {
            true => Meeting::invite(ranks, rendezvous, timeout, (plan, decided), interrupt),
            false => Meeting::follow(ranks, rendezvous, timeout, &plan, interrupt),
        }
    }

    fn invite(
        ranks: Ranks,
        rendezvous: MessageStore,
        timeout: Duration,
        (plan, decided): (Value, Decided),
        interrupt: &Interrupt,
    ) -> Result<Meeting, MeetingError> {
        let run = format!("run-{:016x}", rand::random::<u64>());
        let mut invitation = Invitation {
            run,
            numbers: Vec::new(),
            plan,
            decided,
        };
        let messages = MessageStore::new(rendezvous.directory().join(&invitation.run));
        let sent = (1..ranks.size()).map(hello).chain([INVITATION.to_owned()]);
        let sent = sent.map(|name| rendezvous.path(&name)).collect();
        let decided = invitation.decided.clone();
        let mut meeting = Meeting::new(ranks, decided, timeout, sent, messages, interrupt)?;
        match meeting.gather(&rendezvous, &mut invitation) {
            Ok(()) => Ok(meeting),
            Err(MeetingError::Interrupted(interrupted)) => {
                // Ranks that have joined end with the same code; they are not waited for.
                meeting.end(interrupted.0.exit_code())?;
                Err(interrupted.into())
            }
            Err(error) => {
                meeting.give_up(&error.to_string());
                Err(error)
            }
        }
    }

    /// Invites the ranks in the rendezvous directory until all ranks of this run have joined.
    fn gather(
        &self,
        rendezvous: &MessageStore,
        invitation: &mut Invitation,
    ) -> Result<(), MeetingError> {
        let begin = Instant::now();
        loop {
            let number = |rank| {
                rendezvous
                    .read::<u64>(&hello(rank))
                    .map(|message| message.content)
            };
            let numbers: Vec<Option<u64>> = (1..self.ranks.size()).map(number).collect();
            let mut missing: Vec<usize> = (1..self.ranks.size())
                .filter(|rank| numbers[rank - 1].is_none())
                .collect();
            if missing.is_empty() {
                let numbers: Vec<u64> = std::iter::once(0)
                    .chain(numbers.into_iter().flatten())
                    .collect();
                // A number that changes was left by an earlier run.
                if invitation.numbers != numbers {
                    invitation.numbers = numbers;
                    rendezvous.send(INVITATION, &invitation)?;
                }
                let joined = |rank: &usize| {
                    let message = self.messages.read::<u64>(&joined(*rank));
                    message.is_some_and(|message| message.content == invitation.numbers[*rank])
                };
                missing = (1..self.ranks.size())
                    .filter(|rank| !joined(rank))
                    .collect();
            }
            if missing.is_empty() {
                return Ok(());
            }
            self.check_gave_up()?;
            self.interrupt.check()?;
            if begin.elapsed() >= self.timeout {
                return Err(missing_ranks(missing, self.ranks, rendezvous, self.timeout));
            }
            std::thread::sleep(POLL);
        }
    }

    fn follow(
        ranks: Ranks,
        rendezvous: MessageStore,
        timeout: Duration,
        plan: &Value,
        interrupt: &Interrupt,
    ) -> Result<Meeting, MeetingError> {
        let begin = Instant::now();
        let number = rand::random::<u64>();
        rendezvous.send(&hello(ranks.rank()), number)?;
        let invitation = loop {
            let invitation = rendezvous
                .read::<Invitation>(INVITATION)
                .map(|message| message.content);
            let invited = |i: &Invitation| i.numbers.get(ranks.rank()) == Some(&number);
            if let Some(invitation) = invitation.filter(invited) {
                break invitation;
            }
            if let Err(interrupted) = interrupt.check() {
                // Whoever is invited by this number would be waited for in vain.
                let _ = std::fs::remove_file(rendezvous.path(&hello(ranks.rank())));
                return Err(interrupted.into());
            }
            if begin.elapsed() >= timeout {
                return Err(missing_ranks(vec![0], ranks, &rendezvous, timeout));
            }
            std::thread::sleep(POLL);
        };
        let messages = MessageStore::new(rendezvous.directory().join(&invitation.run));
        let decided = invitation.decided;
        let meeting = Meeting::new(ranks, decided, timeout, Vec::new(), messages, interrupt)?;
        if let Some(error) = difference(ranks.rank(), plan, &invitation.plan) {
            meeting.give_up(&error.to_string());
            return Err(error);
        }
        meeting.messages.send(&joined(ranks.rank()), number)?;
        Ok(meeting)
    }
}

fn missing_ranks(
    missing: Vec<usize>,
    ranks: Ranks,
    rendezvous: &MessageStore,
    timeout: Duration,
) -> MeetingError {
    MeetingError::Missing {
        ranks: missing,
        of: ranks.size(),
        seconds: timeout.as_secs_f64(),
        directory: rendezvous.directory().display().to_string(),
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
