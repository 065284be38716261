//! One load over several processes: which part of it this process is, and how the parts meet.
//!
//! A scheduler that the user already has starts the processes and tells each its *rank*
//! ([`Ranks::from_env`]). They meet by notes in a directory that all of them see ([`Meeting`]): there is
//! no network protocol of our own. Each drives its [`Share`] of every point, and rank 0 merges what all
//! of them recorded as if one process had sent it ([`Together`]).

mod board;
mod error;
mod life;
mod meeting;
mod merge;
mod rendezvous;
mod scheduler;
mod share;

pub(crate) use board::POLL;
pub(crate) use error::MeetingError;
pub(crate) use meeting::{Decided, Meeting, START_AHEAD, Start};
pub(crate) use merge::{Part, Span, Together};
pub(crate) use scheduler::Ranks;
pub(crate) use share::Share;
