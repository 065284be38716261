//! Messages between ranks: files in a directory that all of them can access.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::results::write_atomically_unsynced;

/// How often a directory is polled for a message.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// A directory of messages, each a file that appears complete or not at all.
#[derive(Clone, Debug)]
pub(super) struct MessageStore {
    directory: PathBuf,
}

/// A message and the time at which it was sent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RankMessage<T> {
    /// By the sender's clock (ns since 1970).
    pub sent_unix_ns: u64,
    pub content: T,
}

impl MessageStore {
    pub fn new(directory: PathBuf) -> MessageStore {
        MessageStore { directory }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a message, replacing an older one of that name.
    pub fn send(&self, name: &str, content: impl Serialize) -> std::io::Result<()> {
        let message = RankMessage {
            sent_unix_ns: unix_ns(),
            content,
        };
        write_atomically_unsynced(&self.path(name), &serde_json::to_vec(&message)?)
    }

    /// Reads a message; `None` if there is none, or one in the format of another version.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Option<RankMessage<T>> {
        let text = std::fs::read(self.path(name)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }
}

/// The wall clock (ns since 1970).
pub(super) fn unix_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_nanos() as u64
}
