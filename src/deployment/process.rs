//! One server as a process.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::group::Group;

/// How long a server has to end after SIGTERM.
pub(super) const GRACE: Duration = Duration::from_secs(15);

/// How long what it has started has to end after it.
const GRACE_OF_OTHERS: Duration = Duration::from_secs(2);

/// How long a killed process may take to go away: a GPU's driver may hold it.
const GONE: Duration = Duration::from_secs(5);

/// How often a process is looked at that should end.
const POLL: Duration = Duration::from_millis(10);

/// A server that was started, in a process group of its own.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Group,
    /// How it ended, once it has.
    status: Option<ExitStatus>,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with its output in the file `log`.
    pub fn start(mut command: Command, log: &Path, file: File) -> io::Result<Process> {
        let errors = file.try_clone()?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        Group::lead(&mut command);
        let child = command.spawn()?;
        Ok(Process {
            group: Group::of(&child),
            child,
            status: None,
            log: log.to_owned(),
        })
    }

    /// The file with its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has; what is left of its group ends with it.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() && self.reap() {
            self.group.kill(&mut self.child);
        }
        self.status
    }

    /// Asks it to end.
    pub fn terminate(&mut self) {
        if self.ended().is_none() {
            self.group.terminate(&mut self.child);
        }
    }

    /// Waits for the end that [`Process::terminate`] has asked for, until `deadline`; then kills.
    pub fn finish(&mut self, deadline: Instant) {
        if self.status.is_some() {
            return;
        }
        let ended = until(deadline, || self.reap());
        let group = self.group;
        if ended {
            let _ = until(Instant::now() + GRACE_OF_OTHERS, || group.is_empty());
        }
        if !group.is_empty() {
            group.kill(&mut self.child);
        }
        until(Instant::now() + GONE, || self.reap());
    }

    /// Takes note of its end.
    fn reap(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap_or_default();
        }
        self.status.is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.terminate();
        self.finish(Instant::now() + GRACE);
    }
}

/// Waits until something holds; whether it did before the deadline.
fn until(deadline: Instant, mut holds: impl FnMut() -> bool) -> bool {
    while !holds() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}
