//! Ctrl-C, SIGTERM and SIGHUP in a run that can end early and still say what it has measured.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use crate::signals::{self, Signal};
use crate::terminal;

/// The signal that asked the run to end, or zero; by default nothing listens, and a signal ends the process as
/// usual.
#[derive(Clone, Default)]
pub(super) struct Interrupt(Arc<AtomicU8>);

/// The run that the next signal ends. Between two runs of a process there is none, and a signal ends it.
static RUNNING: Mutex<Weak<AtomicU8>> = Mutex::new(Weak::new());

impl Interrupt {
    /// Listens as long as the result lives: the first signal asks the run to end, the second ends the
    /// process.
    pub fn listen() -> Interrupt {
        static LISTENING: Once = Once::new();
        let interrupt = Interrupt::default();
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&interrupt.0);
        LISTENING.call_once(|| {
            // Where the system gives no thread or no signals there is nothing to listen for, and a signal
            // ends the process.
            let _ = signals::listen(end_run);
        });
        interrupt
    }

    /// Whether the run was asked to end.
    pub fn came(&self) -> bool {
        self.exit_code().is_some()
    }

    /// What the process exits with, as a shell reports the signal that asked it to end: 130 of Ctrl-C, 143 of
    /// SIGTERM, 129 of SIGHUP; `None` where none did.
    pub fn exit_code(&self) -> Option<u8> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            number => Some(signals::exit_code(number)),
        }
    }
}

/// Asks the run under way to end; where there is none, or it was asked before, ends the process.
fn end_run(signal: Signal) {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let asked = running.upgrade().is_some_and(|came| {
        let first = came.compare_exchange(0, signal.number, Ordering::Relaxed, Ordering::Relaxed);
        first.is_ok()
    });
    if !asked {
        eprintln!();
        std::process::exit(signal.exit_code().into());
    }
    if terminal::draws() {
        terminal::clear_line();
    }
    eprintln!(
        "{}: ending with the requests in flight; again ends at once",
        signal.name
    );
}
