//! Heartbeats, which tell a busy rank from one that has ended.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::message_store::MessageStore;
use super::repeated::Repeated;

/// Longest interval between two heartbeats.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);

/// Heartbeats that may be missed before a rank counts as ended.
const MISSED_BEATS: u32 = 8;

fn message_name(rank: usize) -> String {
    format!("alive-{rank}")
}

fn interval(timeout: Duration) -> Duration {
    (timeout / MISSED_BEATS).min(LONGEST_INTERVAL)
}

/// Sends the heartbeats of `rank`, until the result is dropped, often enough for ranks that wait at most `timeout` for
/// one.
pub(super) fn heartbeat(
    messages: MessageStore,
    rank: usize,
    timeout: Duration,
) -> std::io::Result<Repeated> {
    let mut count = 0_u64;
    Repeated::start("servemark-alive", interval(timeout), move || {
        // The other ranks notice heartbeats that cannot be written: they are missing.
        let _ = messages.send(&message_name(rank), count);
        count += 1;
        ControlFlow::Continue(())
    })
}

/// Checks the heartbeats of a rank while something is expected from it.
pub(super) struct LivenessCheck {
    rank: usize,
    timeout: Duration,
    checked_at: Option<Instant>,
    /// Its last heartbeat, and when it was first seen.
    last: (Option<u64>, Instant),
}

impl LivenessCheck {
    pub fn new(rank: usize, timeout: Duration) -> LivenessCheck {
        LivenessCheck {
            rank,
            timeout,
            checked_at: None,
            last: (None, Instant::now()),
        }
    }

    /// Whether its last heartbeat is older than `limit`. Reads no more often than heartbeats are sent.
    pub fn has_ended(&mut self, messages: &MessageStore, limit: Duration) -> bool {
        let is_recent = |last: Instant| last.elapsed() < interval(self.timeout);
        if self.checked_at.is_some_and(is_recent) {
            return false;
        }
        self.checked_at = Some(Instant::now());
        let heartbeat = messages
            .read(&message_name(self.rank))
            .map(|message| message.content);
        if self.last.0 != heartbeat {
            self.last = (heartbeat, Instant::now());
        }
        self.last.1.elapsed() >= limit
    }
}
