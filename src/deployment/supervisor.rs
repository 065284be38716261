//! Tracks every running server, so that a signal to the harness ends them all.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::DeploymentError;
use super::process::{self, GRACE, Process};
use crate::interrupt::{self, StopMode};

/// A server, shared with the supervisor.
pub(super) type Supervised = Arc<Mutex<Process>>;

static SUPERVISOR: Mutex<Supervisor> = Mutex::new(Supervisor {
    listens: false,
    closing: false,
    servers: Vec::new(),
});

struct Supervisor {
    /// Whether a signal that ends the harness stops the servers first.
    listens: bool,
    /// Whether the harness is ending, so that no server may start.
    closing: bool,
    servers: Vec<Weak<Mutex<Process>>>,
}

/// Starts a server, which a signal to the harness stops.
pub(super) fn start(
    command: Command,
    log: &Path,
    file: File,
    failed: impl FnOnce(io::Error) -> DeploymentError,
) -> Result<Supervised, DeploymentError> {
    // Held until the server is registered, so that no signal can miss it.
    let mut supervisor = lock(&SUPERVISOR);
    if supervisor.closing {
        return Err(DeploymentError::Interrupted);
    }
    if !supervisor.listens {
        interrupt::stop_before_exit(stop_all).map_err(DeploymentError::Signals)?;
        supervisor.listens = true;
    }
    let process = Process::start(command, log, file).map_err(failed)?;
    let server = Arc::new(Mutex::new(process));
    supervisor.servers.retain(|known| known.strong_count() > 0);
    supervisor.servers.push(Arc::downgrade(&server));
    Ok(server)
}

/// Stops the servers in parallel.
pub(super) fn stop(servers: &[Supervised]) {
    for server in servers {
        lock(server).terminate();
    }
    let deadline = Instant::now() + GRACE;
    for server in servers {
        lock(server).finish(deadline);
    }
}

/// Stops every server and prevents new ones. Ctrl-C does not reach them, as each is in a process group of its own.
fn stop_all(how: StopMode) {
    let servers: Vec<Supervised> = {
        let mut supervisor = lock(&SUPERVISOR);
        supervisor.closing = true;
        let servers = supervisor.servers.iter();
        servers.filter_map(Weak::upgrade).collect()
    };
    if how == StopMode::AtOnce {
        process::end_grace();
    }
    stop(&servers);
    if how == StopMode::Orderly {
        eprintln!("interrupted: {} server(s) stopped", servers.len());
    }
}

/// Never returns while a signal ends the harness: failures are then a consequence of the signal, and not reported.
pub(super) fn wait_if_ending() {
    if lock(&SUPERVISOR).closing {
        loop {
            std::thread::park();
        }
    }
}

/// Locks a mutex. The state after a panic is good enough to stop servers.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
