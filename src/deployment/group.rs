//! A process group of its own for each server, so that what it starts is stopped with it.

use std::process::{Child, Command};

/// The group of a process that was started with [`ProcessGroup::lead`].
#[cfg(unix)]
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessGroup(nix::unistd::Pid);

#[cfg(unix)]
impl ProcessGroup {
    /// Makes the process that `command` starts the leader of a group. On Linux it gets SIGTERM when the thread that
    /// started it ends first, such as when the harness is killed.
    pub fn lead(command: &mut Command) {
        use std::os::unix::process::CommandExt;
        command.process_group(0);
        #[cfg(target_os = "linux")]
        end_with_parent(command);
    }

    /// The group that `child` leads.
    pub fn of(child: &Child) -> ProcessGroup {
        // A process id is a positive pid_t.
        ProcessGroup(nix::unistd::Pid::from_raw(child.id() as i32))
    }

    /// Asks the whole group to end.
    pub fn terminate(self, _: &mut Child) {
        self.signal(nix::sys::signal::Signal::SIGTERM);
    }

    /// Ends the whole group.
    pub fn kill(self, _: &mut Child) {
        self.signal(nix::sys::signal::Signal::SIGKILL);
    }

    /// Whether no process of the group is left.
    pub fn is_empty(self) -> bool {
        nix::sys::signal::killpg(self.0, None) == Err(nix::errno::Errno::ESRCH)
    }

    fn signal(self, signal: nix::sys::signal::Signal) {
        // An error means that the group has ended.
        let _ = nix::sys::signal::killpg(self.0, signal);
    }
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "only the child itself can request the signal, so the call must run between fork and exec"
)]
fn end_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let parent = nix::unistd::getpid();
    let request = move || {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)?;
        match nix::unistd::getppid() == parent {
            true => Ok(()),
            // The harness died in between, so the signal would never come.
            false => Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe)),
        }
    };
    // SAFETY: between fork and exec only prctl and getppid run, which are async-signal-safe. Nothing is allocated, as
    // both errors are plain codes.
    unsafe {
        command.pre_exec(request);
    }
}

/// Without process groups only the process itself can be stopped.
#[cfg(not(unix))]
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessGroup;

#[cfg(not(unix))]
impl ProcessGroup {
    pub fn lead(_: &mut Command) {}

    pub fn of(_: &Child) -> ProcessGroup {
        ProcessGroup
    }

    pub fn terminate(self, child: &mut Child) {
        let _ = child.kill();
    }

    pub fn kill(self, child: &mut Child) {
        let _ = child.kill();
    }

    pub fn is_empty(self) -> bool {
        true
    }
}
