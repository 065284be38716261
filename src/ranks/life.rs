//! Telling a rank that is busy from one that is gone.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::board::Board;

/// Longest time between two signs of life.
const SLOWEST_BEAT: Duration = Duration::from_secs(1);

/// Signs of life that may be missing before a rank is taken for gone.
const MISSED_BEATS: u32 = 8;

fn note(rank: usize) -> String {
    format!("alive-{rank}")
}

fn beat(patience: Duration) -> Duration {
    (patience / MISSED_BEATS).min(SLOWEST_BEAT)
}

/// Gives a sign of life until it is dropped.
pub(super) struct Heartbeat {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Gives signs of `rank` on `board`, as often as somebody of `patience` needs them.
    pub fn start(board: Board, rank: usize, patience: Duration) -> std::io::Result<Heartbeat> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("servemark-alive".into())
            .spawn(move || {
                for count in 0_u64.. {
                    // A sign that cannot be written is one that is missing, which the others notice.
                    let _ = board.post(&note(rank), count);
                    if stopped.recv_timeout(beat(patience)) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            })?;
        Ok(Heartbeat {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It cannot panic; if it did, it has ended.
            let _ = thread.join();
        }
    }
}

/// Watches the signs of life of a rank that is waited for.
pub(super) struct Vigil {
    rank: usize,
    patience: Duration,
    looked: Option<Instant>,
    /// Its last sign, and when it was first seen.
    last: (Option<u64>, Instant),
}

impl Vigil {
    pub fn new(rank: usize, patience: Duration) -> Vigil {
        Vigil {
            rank,
            patience,
            looked: None,
            last: (None, Instant::now()),
        }
    }

    /// Whether its last sign is older than the patience. Looks no more often than signs come.
    pub fn gone(&mut self, board: &Board) -> bool {
        let soon = |last: Instant| last.elapsed() < beat(self.patience);
        if self.looked.is_some_and(soon) {
            return false;
        }
        self.looked = Some(Instant::now());
        let sign = board.read(&note(self.rank)).map(|note| note.what);
        if self.last.0 != sign {
            self.last = (sign, Instant::now());
        }
        self.last.1.elapsed() >= self.patience
    }
}
