//! Why ranks cannot go on together.

use crate::results::RecordError;

/// The ranks cannot go on together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MeetingError {
    /// The directory cannot be written.
    #[error(
        "ranks cannot meet: {0}; SERVEMARK_RANKS_DIR names a directory that all ranks can write"
    )]
    Directory(#[from] std::io::Error),
    /// Some ranks did not come.
    #[error(
        "{} did not come to {directory} within {seconds:.0} s (READY_TIMEOUT). Are all ranks running, and do all see this directory? SERVEMARK_RANKS_DIR names another",
        named(ranks, *.of)
    )]
    Missing {
        /// Those ranks.
        ranks: Vec<usize>,
        /// How many there are in all.
        of: usize,
        /// How long they were waited for (s).
        seconds: f64,
        /// Where.
        directory: String,
    },
    /// A rank ended without a word.
    #[error(
        "rank {rank} gave no sign of life for {seconds:.0} s (READY_TIMEOUT) while its {awaited} was waited for"
    )]
    Gone {
        /// That rank.
        rank: usize,
        /// How long nothing was heard (s).
        seconds: f64,
        /// What was waited for.
        awaited: &'static str,
    },
    /// A rank's part is none.
    #[error("the record of a rank's part cannot be read: {0}")]
    Part(#[from] RecordError),
    /// A rank said that it cannot go on.
    #[error("rank {rank} gave up: {reason}")]
    GaveUp {
        /// That rank.
        rank: usize,
        /// What it said.
        reason: String,
    },
    /// A rank would measure something else.
    #[error(
        "rank {rank} has {key} = {own}, rank 0 has {leader}: all ranks need the same configuration and arguments"
    )]
    OtherPlan {
        /// That rank.
        rank: usize,
        /// What differs.
        key: String,
        /// Its value there.
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
