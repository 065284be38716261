//! Errors of ranks that share a load.

use crate::interrupt::Interrupted;
use crate::results::RecordError;

/// The ranks cannot continue together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MeetingError {
    /// The rendezvous directory cannot be written.
    #[error(
        "ranks cannot meet: {0}; set SERVEMARK_RANKS_DIR to a directory that all ranks can write to"
    )]
    Directory(#[from] std::io::Error),
    /// Some ranks did not join.
    #[error(
        "{} did not join in {directory} within {seconds:.0} s (READY_TIMEOUT). Are all ranks running, and can all access this directory? SERVEMARK_RANKS_DIR sets another",
        named(ranks, *.of)
    )]
    Missing {
        /// The missing ranks.
        ranks: Vec<usize>,
        /// Number of all ranks.
        of: usize,
        /// The timeout (s).
        seconds: f64,
        /// The rendezvous directory.
        directory: String,
    },
    /// A rank stopped sending heartbeats.
    #[error(
        "rank {rank} sent no heartbeat for {seconds:.0} s ({limit}) while waiting for its {awaited}"
    )]
    Gone {
        /// The rank.
        rank: usize,
        /// The timeout (s).
        seconds: f64,
        /// Which timeout it is.
        limit: &'static str,
        /// What was expected from it.
        awaited: &'static str,
    },
    /// A signal came before all ranks had joined.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A rank's part cannot be read.
    #[error("the record of a rank's part cannot be read: {0}")]
    Part(#[from] RecordError),
    /// A rank gave up.
    #[error("rank {rank} gave up: {reason}")]
    GaveUp {
        /// The rank.
        rank: usize,
        /// Its reason.
        reason: String,
    },
    /// A rank has another configuration or other arguments.
    #[error(
        "rank {rank} has {key} = {own}, rank 0 has {leader}: all ranks need the same configuration and arguments"
    )]
    OtherPlan {
        /// The rank.
        rank: usize,
        /// What differs.
        key: String,
        /// Its value in this rank.
        own: String,
        /// Its value in rank 0.
        leader: String,
    },
}

/// `rank 2 of 4`, `ranks 2, 3 of 4`.
fn named(ranks: &[usize], of: usize) -> String {
    let plural = if ranks.len() == 1 { "" } else { "s" };
    let list: Vec<String> = ranks.iter().map(ToString::to_string).collect();
    format!("rank{plural} {} of {of}", list.join(", "))
}
