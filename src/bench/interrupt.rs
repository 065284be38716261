//! Ctrl-C, SIGTERM and SIGHUP in a run that can end early and still say what it has measured.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use crate::terminal;

/// The signal that asked the run to end, or zero; by default nothing listens, and a signal ends the process as
/// usual.
#[derive(Clone, Default)]
pub(super) struct Interrupt(Arc<AtomicU8>);

/// The run that the next signal ends. Between two runs of a process there is none, and a signal ends it.
static RUNNING: Mutex<Weak<AtomicU8>> = Mutex::new(Weak::new());

/// A signal that ends a run.
#[derive(Clone, Copy)]
struct Signal {
    number: u8,
    name: &'static str,
}

const CTRL_C: Signal = Signal {
    number: 2,
    name: "Ctrl-C",
};

#[cfg(unix)]
const TERMINATE: Signal = Signal {
    number: 15,
    name: "SIGTERM",
};

#[cfg(unix)]
const HANG_UP: Signal = Signal {
    number: 1,
    name: "SIGHUP",
};

/// What a shell reports of a process that signal N has ended: this and N.
const ENDED_BY_SIGNAL: u8 = 128;

impl Interrupt {
    /// Listens as long as the result lives: the first signal asks the run to end, the second ends the
    /// process.
    pub fn listen() -> Interrupt {
        static LISTENING: Once = Once::new();
        let interrupt = Interrupt::default();
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&interrupt.0);
        LISTENING.call_once(|| {
            // Once listened to, a signal no longer ends the process by itself; so the thread stays. Where the
            // system gives no thread or no signals there is nothing to listen for.
            let _ = std::thread::Builder::new()
                .name("servemark-signals".into())
                .spawn(listen_for_ever);
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
            number => Some(ENDED_BY_SIGNAL + number),
        }
    }
}

fn listen_for_ever() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let Ok(runtime) = runtime else {
        return;
    };
    // Dropped, the signals would go by unseen.
    let Ok(mut signals) = runtime.block_on(async { Signals::new() }) else {
        return;
    };
    while let Some(signal) = runtime.block_on(signals.next()) {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = running.upgrade().is_some_and(|came| {
            let first =
                came.compare_exchange(0, signal.number, Ordering::Relaxed, Ordering::Relaxed);
            first.is_ok()
        });
        if asked {
            if terminal::draws() {
                terminal::clear_line();
            }
            eprintln!(
                "{}: ending with the requests in flight; again ends at once",
                signal.name
            );
        } else {
            eprintln!();
            std::process::exit((ENDED_BY_SIGNAL + signal.number).into());
        }
    }
}

/// The signals that end a run, as they come.
#[cfg(unix)]
struct Signals {
    ctrl_c: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` where the process was told to outlive its terminal, as by `nohup`.
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Signals> {
        let kind = |signal: Signal| tokio::signal::unix::SignalKind::from_raw(signal.number.into());
        let listen = |signal| tokio::signal::unix::signal(kind(signal));
        Ok(Signals {
            ctrl_c: listen(CTRL_C)?,
            terminate: listen(TERMINATE)?,
            hang_up: match is_ignored(HANG_UP) {
                true => None,
                false => Some(listen(HANG_UP)?),
            },
        })
    }

    async fn next(&mut self) -> Option<Signal> {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            came = self.ctrl_c.recv() => came.map(|()| CTRL_C),
            came = self.terminate.recv() => came.map(|()| TERMINATE),
            came = hang_up => came.map(|()| HANG_UP),
        }
    }
}

/// Whether the process was started with this signal ignored; where the system does not say, it was not.
#[cfg(unix)]
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.number - 1) & 1 == 1)
}

/// The signals that end a run, as they come.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) -> Option<Signal> {
        tokio::signal::ctrl_c().await.ok().map(|()| CTRL_C)
    }
}
