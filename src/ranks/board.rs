//! Notes in a directory that all ranks see.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::results::write_atomically;

/// How often somebody who waits for a note looks for it.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// A directory of notes. Each is written whole or not at all, and read by whoever knows its name.
#[derive(Clone, Debug)]
pub(super) struct Board {
    directory: PathBuf,
}

/// A note and when it was written.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note<T> {
    /// By the clock of the one who wrote it (ns since 1970).
    pub posted_unix_ns: u64,
    pub what: T,
}

impl Board {
    pub fn at(directory: PathBuf) -> Board {
        Board { directory }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a note, in place of an older one of that name.
    pub fn post(&self, name: &str, what: impl Serialize) -> std::io::Result<()> {
        let note = Note {
            posted_unix_ns: unix_ns(),
            what,
        };
        write_atomically(&self.path(name), &serde_json::to_vec(&note)?)
    }

    /// A note; `None` while there is none, and for one of another form, which some other version left.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Option<Note<T>> {
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
