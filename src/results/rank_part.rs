use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One process's part in a load that several share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RankPart {
    /// Which process: below `of`.
    pub rank: usize,
    /// How many there were. A request with index `i` of its point was sent by rank `i` modulo `of`; within
    /// a point an index is counted in its lower 32 bits.
    pub of: usize,
    /// Requests that it kept in flight.
    pub concurrency: usize,
    /// When it began to send (ns of the record's clock).
    pub began_ns: u64,
    /// How late that was after the instant that all ranks had agreed on (ms), by its own wall clock.
    pub start_lag_ms: f64,
    /// By how much at least its wall clock was behind rank 0's (ms), negative if ahead; 0 where the notes
    /// that the ranks exchanged do not show that it was off.
    pub clock_behind_ms: f64,
    /// When it stopped as too many requests in a row had failed (ns of the record's clock).
    pub gave_out_ns: Option<u64>,
}
