//! One load over several processes: which part of it this process sends, and how the parts are merged.
//!
//! The user's scheduler starts the processes and tells each its *rank* ([`Ranks::from_env`]). They exchange
//! messages through a directory that all of them can access ([`Meeting`]): there is no network protocol. Each drives its [`Share`] of every point, and rank 0 merges what all
//! of them recorded as if one process had sent it ([`MergedRun`]).

mod error;
mod liveness;
mod meeting;
mod merge;
mod message_store;
mod rendezvous;
mod scheduler;
mod share;

pub(crate) use error::MeetingError;
pub(crate) use meeting::{Decided, Enough, Meeting, START_AHEAD, Start};
pub(crate) use merge::{MeasuredInterval, MergedRun, RankRequests};
pub(crate) use message_store::POLL;
pub(crate) use scheduler::Ranks;
pub(crate) use share::Share;
