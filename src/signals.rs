//! The signals that end the process: Ctrl-C, and on Unix SIGTERM and SIGHUP.

use std::io;

/// A signal that ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    /// Its number.
    pub number: u8,
    /// Its name in messages.
    pub name: &'static str,
}

impl Signal {
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

    /// The signal of this number; `None` if it is no signal that ends the process.
    pub fn numbered(number: u8) -> Option<Signal> {
        #[cfg(unix)]
        let all = [Signal::CTRL_C, Signal::TERMINATE, Signal::HANG_UP];
        #[cfg(not(unix))]
        let all = [Signal::CTRL_C];
        all.into_iter().find(|signal| signal.number == number)
    }

    /// The exit code that a shell reports for a process that it ended: 128 plus its number.
    pub fn exit_code(self) -> u8 {
        128 + self.number
    }
}

/// Calls `handle` for each signal, in a thread of its own that never ends. From then on a signal does not end the process
/// by itself. A hang-up that the process ignores from its start, such as under `nohup`, stays ignored.
///
/// # Errors
/// The system provides no thread, or does not allow signals to be handled.
pub(crate) fn listen(mut handle: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    std::thread::Builder::new()
        .name("servemark-signals".into())
        .spawn(move || {
            while let Some(signal) = runtime.block_on(signals.next()) {
                handle(signal);
            }
        })?;
    Ok(())
}

#[cfg(unix)]
struct Signals {
    ctrl_c: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` if it stays ignored.
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |to: Signal| signal(SignalKind::from_raw(to.number.into()));
        Ok(Signals {
            ctrl_c: listen(Signal::CTRL_C)?,
            terminate: listen(Signal::TERMINATE)?,
            hang_up: match is_ignored(Signal::HANG_UP) {
                true => None,
                false => Some(listen(Signal::HANG_UP)?),
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
            received = self.ctrl_c.recv() => received.map(|()| Signal::CTRL_C),
            received = self.terminate.recv() => received.map(|()| Signal::TERMINATE),
            received = hang_up => received.map(|()| Signal::HANG_UP),
        }
    }
}

/// Whether the process was started with this signal ignored. Safe code can find out on Linux only; elsewhere the answer
/// is no.
#[cfg(unix)]
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.number - 1) & 1 == 1)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) -> Option<Signal> {
        tokio::signal::ctrl_c().await.ok().map(|()| Signal::CTRL_C)
    }
}
