//! Exclusive access to a results directory: one process writes at a time.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use fs4::{FileExt, TryLockError};
use serde::{Deserialize, Serialize};

use super::point::RECORDS;
use super::write_atomically_unsynced;

/// Exclusive write access to a results directory until it is dropped or the process ends: a file lock that
/// the kernel releases.
#[derive(Debug)]
pub(crate) struct ResultsLock {
    directory: PathBuf,
    /// The lock is on this open file.
    _file: File,
    is_held: bool,
}

/// What the lock is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purpose {
    /// A run: as long as its load.
    Run,
    /// A change of baselines: a moment.
    Change,
}

/// The process that holds the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pid: u32,
    host: Option<String>,
    /// Name of the bench or command.
    name: String,
    purpose: Purpose,
    since_unix_s: u64,
}

/// The lock cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{holder} is writing to {directory}{hint}")]
    Held {
        /// The directory.
        directory: String,
        /// The process, and since when it holds the lock.
        holder: String,
        /// How to proceed.
        hint: String,
    },
    /// An I/O error.
    #[error("{path}: {error}")]
    File {
        /// The lock's file.
        path: String,
        /// The error.
        error: io::Error,
    },
}

/// The locked file. It is never removed: a new file of this name would be another lock.
const LOCK: &str = ".lock";

/// The file beside it with the [`Holder`].
const HOLDER: &str = ".lock-holder.json";

/// How long to wait for a change of baselines by another process.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Interval between two attempts to take the lock.
const POLL: Duration = Duration::from_millis(20);

impl ResultsLock {
    /// Takes the lock of a Criterion directory; `name` is the bench or the command. Waits for a change of
    /// baselines in progress, but not for a run.
    ///
    /// # Errors
    /// [`LockError`], which names the holder.
    pub fn take(criterion: &Path, name: &str, purpose: Purpose) -> Result<ResultsLock, LockError> {
        let directory = criterion.join(RECORDS);
        let file = open(&directory)?;
        let began = Instant::now();
        let mut seen = None;
        let is_held = loop {
            match FileExt::try_lock(&file) {
                Ok(()) => break true,
                // A file system without locks.
                Err(TryLockError::Error(_)) => break false,
                Err(TryLockError::WouldBlock) => {}
            }
            let holder = Holder::read(&directory);
            // Seen only once it may be left over from a dead process, and about to be replaced.
            let runs = seen == holder && holder.as_ref().is_some_and(Holder::is_run);
            if runs || began.elapsed() >= TIMEOUT {
                return Err(held(&directory, holder.as_ref(), purpose));
            }
            seen = holder;
            std::thread::sleep(POLL);
        };
        Ok(ResultsLock::of(directory, file, is_held, name, purpose))
    }

    /// Takes the lock for a change of baselines if it is free.
    pub fn take_if_free(criterion: &Path, name: &str) -> Option<ResultsLock> {
        let directory = criterion.join(RECORDS);
        let file = open(&directory).ok()?;
        FileExt::try_lock(&file).ok()?;
        let lock = ResultsLock::of(directory, file, true, name, Purpose::Change);
        Some(lock)
    }

    fn of(
        directory: PathBuf,
        file: File,
        is_held: bool,
        name: &str,
        purpose: Purpose,
    ) -> ResultsLock {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let holder = Holder {
            pid: std::process::id(),
            host: host(),
            name: name.to_owned(),
            purpose,
            since_unix_s: now.unwrap_or_default().as_secs(),
        };
        // On a full disk only the holder's name is missing; the lock is held anyway.
        let _ = serde_json::to_vec(&holder)
            .map_err(io::Error::from)
            .and_then(|json| write_atomically_unsynced(&directory.join(HOLDER), &json));
        ResultsLock {
            directory,
            _file: file,
            is_held,
        }
    }

    /// Whether other processes are locked out; false on a file system without locks.
    pub fn is_held(&self) -> bool {
        self.is_held
    }
}

impl Drop for ResultsLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.directory.join(HOLDER));
    }
}

fn open(directory: &Path) -> Result<File, LockError> {
    let path = directory.join(LOCK);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = fs::create_dir_all(directory).and_then(|()| options.open(&path));
    file.map_err(|error| LockError::File {
        path: path.display().to_string(),
        error,
    })
}

impl Holder {
    fn read(directory: &Path) -> Option<Holder> {
        let json = fs::read(directory.join(HOLDER)).ok()?;
        serde_json::from_slice(&json).ok()
    }

    fn is_run(&self) -> bool {
        self.purpose == Purpose::Run
    }

    fn is_elsewhere(&self) -> bool {
        self.host != host()
    }
}

impl fmt::Display for Holder {
    /// `chat_throughput (process 4711, since 2026-07-01 12:00:00 UTC)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {}", self.name, self.pid)?;
        if let Some(host) = self.host.as_ref().filter(|_| self.is_elsewhere()) {
            write!(f, " on {host}")?;
        }
        let since = DateTime::from_timestamp_secs(self.since_unix_s as i64).unwrap_or_default();
        write!(f, ", since {})", since.format("%Y-%m-%d %H:%M:%S UTC"))
    }
}

fn held(directory: &Path, holder: Option<&Holder>, purpose: Purpose) -> LockError {
    let stop = match holder {
        Some(holder) if holder.is_elsewhere() => "stop it there".to_owned(),
        Some(holder) => format!("stop it (kill {})", holder.pid),
        None => "stop it".to_owned(),
    };
    let hint = match (purpose, holder) {
        (Purpose::Run, _) => format!(
            ", and two runs there would be mixed: wait for its end, {stop}, or write this run to another directory (CRITERION_HOME=DIRECTORY)"
        ),
        (Purpose::Change, Some(holder)) if holder.is_run() => format!(
            ": baselines cannot be changed while a run that may read or write them is in progress; wait for its end, or {stop}"
        ),
        (Purpose::Change, _) => format!(": wait for its end, or {stop}"),
    };
    LockError::Held {
        directory: directory.display().to_string(),
        holder: holder.map_or("another process".to_owned(), Holder::to_string),
        hint,
    }
}

/// The machine's name.
fn host() -> Option<String> {
    #[cfg(unix)]
    let name = nix::unistd::gethostname().ok();
    #[cfg(not(unix))]
    let name = std::env::var_os("COMPUTERNAME");
    name?.into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(criterion: &Path, purpose: Purpose) -> String {
        let error = ResultsLock::take(criterion, "second", purpose).expect_err("it is held");
        assert!(matches!(error, LockError::Held { .. }), "{error}");
        error.to_string()
    }

    #[test]
    fn a_second_writer_gets_an_error_with_the_holder_and_a_hint() {
        let directory = tempfile::tempdir().expect("a directory");
        let criterion = directory.path();
        let first = ResultsLock::take(criterion, "chat_throughput", Purpose::Run).expect("free");
        let pid = std::process::id();
        let run = refused(criterion, Purpose::Run);
        for words in [
            format!("chat_throughput (process {pid}, since 20"),
            criterion.display().to_string(),
            format!("kill {pid}"),
            "CRITERION_HOME".to_owned(),
        ] {
            assert!(run.contains(&words), "{words}: {run}");
        }
        let change = refused(criterion, Purpose::Change);
        assert!(change.contains("baselines cannot be changed"), "{change}");
        assert!(ResultsLock::take_if_free(criterion, "third").is_none());
        drop(first);
        let again = ResultsLock::take(criterion, "second", Purpose::Run).expect("free again");
        assert!(again.is_held());
    }

    #[test]
    fn a_killed_holder_does_not_block_others() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = ResultsLock::take(directory.path(), "first", Purpose::Run).expect("free");
        let holder = directory.path().join(RECORDS).join(HOLDER);
        let left = fs::read(&holder).expect("it says who it is");
        drop(first);
        // The kernel releases the lock of a killed process; its name stays.
        fs::write(&holder, left).expect("written");
        let second = ResultsLock::take(directory.path(), "second", Purpose::Run).expect("free");
        assert_eq!(
            Holder::read(&second.directory).expect("said").name,
            "second"
        );
    }

    #[test]
    fn a_run_waits_for_a_change_of_baselines() {
        let directory = tempfile::tempdir().expect("a directory");
        let change = ResultsLock::take(directory.path(), "save", Purpose::Change).expect("free");
        std::thread::scope(|threads| {
            let run = threads.spawn(|| {
                ResultsLock::take(directory.path(), "run", Purpose::Run).expect("free later")
            });
            drop(change);
            assert!(run.join().expect("no panic").is_held());
        });
    }
}
