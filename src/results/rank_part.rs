use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::Unanswered;

/// One process's part of a load that several share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RankPart {
    /// Index of the process: below `of`.
    pub rank: usize,
    /// Number of processes. A request with index `i` of its point was sent by rank `i` modulo `of`; within
    /// a point an index is counted in its lower 32 bits.
    pub of: usize,
    /// Requests that it kept in flight.
    pub concurrency: usize,
    /// When it started to send (ns of the record's clock).
    pub began_ns: u64,
    /// How late that was after the common start that all ranks had agreed on (ms), by its own wall clock.
    pub start_lag_ms: f64,
    /// Least difference by which its wall clock was behind rank 0's (ms), negative if ahead; 0 where the
    /// messages between the ranks show no difference.
    pub clock_behind_ms: f64,
    /// When it stopped because too many requests in a row had failed (ns of the record's clock). Earlier
    /// versions call the key `gave_out_ns`.
    #[serde(alias = "gave_out_ns")]
    pub aborted_at_ns: Option<u64>,
    /// Its requests that ended without an answer, in the record of its part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_an_old_record_is_read() {
        let old = r#"{"rank": 1, "of": 2, "concurrency": 4, "began_ns": 5, "start_lag_ms": 0.5,
            "clock_behind_ms": 0.0, "gave_out_ns": 7}"#;
        let part: RankPart = serde_json::from_str(old).expect("readable");
        assert_eq!(part.aborted_at_ns, Some(7));
        let json = serde_json::to_value(&part).expect("JSON");
        assert_eq!(json["aborted_at_ns"], 7);
    }
}
