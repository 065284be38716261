//! A server process.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::group::ProcessGroup;

/// How long a server has to end after SIGTERM.
pub(super) const GRACE: Duration = Duration::from_secs(15);

/// How long the processes that it started have to end after it.
const GRACE_OF_OTHERS: Duration = Duration::from_secs(2);

/// How long to wait for a killed process to disappear: a GPU's driver may delay it.
const GONE: Duration = Duration::from_secs(5);

/// Interval at which a process that should end is polled.
const POLL: Duration = Duration::from_millis(10);

/// Whether processes are killed without a grace time.
static AT_ONCE: AtomicBool = AtomicBool::new(false);

/// Ends all grace times, including those under way.
pub(super) fn end_grace() {
    AT_ONCE.store(true, Ordering::Relaxed);
}

/// A server that was started, in a process group of its own.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: ProcessGroup,
    /// Its exit status, once it has ended.
    status: Option<ExitStatus>,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with its output in the file `log`.
    pub fn start(mut command: Command, log: &Path, file: File) -> io::Result<Process> {
        let errors = file.try_clone()?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        ProcessGroup::lead(&mut command);
        let child = command.spawn()?;
        Ok(Process {
            group: ProcessGroup::of(&child),
            child,
            status: None,
            log: log.to_owned(),
        })
    }

    /// The file with its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its exit status, if it has ended. The rest of its group is then killed.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() && self.reap() {
            self.group.kill(&mut self.child);
        }
        self.status
    }

    /// Sends SIGTERM.
    pub fn terminate(&mut self) {
        if self.ended().is_none() {
            self.group.terminate(&mut self.child);
        }
    }

    /// Waits until it has ended after [`Process::terminate`], at most until `deadline`; then kills it.
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

    /// Stores its exit status. Returns whether it has ended.
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

/// Waits until a condition holds. Returns whether it did before the deadline.
fn until(deadline: Instant, mut holds: impl FnMut() -> bool) -> bool {
    while !holds() {
        if Instant::now() >= deadline || AT_ONCE.load(Ordering::Relaxed) {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}
