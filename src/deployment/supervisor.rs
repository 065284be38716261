//! Knows every server that runs, so that a signal to the harness ends them all.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::DeploymentError;
use super::process::{GRACE, Process};
use crate::signals::{self, Signal};

/// A server, shared with the supervisor.
pub(super) type Supervised = Arc<Mutex<Process>>;

static SUPERVISOR: Mutex<Supervisor> = Mutex::new(Supervisor {
    listens: false,
    closing: false,
    servers: Vec::new(),
});

struct Supervisor {
    /// Whether signals are listened for.
    listens: bool,
    /// Whether the harness ends: nothing is started any more.
    closing: bool,
    servers: Vec<Weak<Mutex<Process>>>,
}

/// Starts a server that is stopped when the harness gets a signal, too.
pub(super) fn start(
    command: Command,
    log: &Path,
    file: File,
    failed: impl FnOnce(io::Error) -> DeploymentError,
) -> Result<Supervised, DeploymentError> {
    // Held until the server is known, so that no signal can miss it.
    let mut supervisor = lock(&SUPERVISOR);
    if supervisor.closing {
        return Err(DeploymentError::Interrupted);
    }
    if !supervisor.listens {
        signals::listen(end).map_err(DeploymentError::Signals)?;
        supervisor.listens = true;
    }
    let process = Process::start(command, log, file).map_err(failed)?;
    let server = Arc::new(Mutex::new(process));
    supervisor.servers.retain(|known| known.strong_count() > 0);
    supervisor.servers.push(Arc::downgrade(&server));
    Ok(server)
}

/// Stops these servers side by side.
pub(super) fn stop(servers: &[Supervised]) {
    for server in servers {
        lock(server).terminate();
    }
    let deadline = Instant::now() + GRACE;
    for server in servers {
        lock(server).finish(deadline);
    }
}

/// Stops every server, and lets none be started any more.
fn close() -> usize {
    let servers: Vec<Supervised> = {
        let mut supervisor = lock(&SUPERVISOR);
        supervisor.closing = true;
        supervisor
            .servers
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    };
    stop(&servers);
    servers.len()
}

/// Never returns while a signal ends the harness: what fails now fails because of that, and is no news.
pub(super) fn give_way_to_signals() {
    if lock(&SUPERVISOR).closing {
        loop {
            std::thread::park();
        }
    }
}

/// What a panic has left is good enough to stop servers.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the harness after a signal: its servers are in groups of their own, which Ctrl-C does not reach.
fn end(signal: Signal) {
    let stopped = close();
    eprintln!("\ninterrupted: {stopped} server(s) stopped");
    std::process::exit(signal.exit_code().into());
}
