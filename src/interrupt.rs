//! Ends a run early at Ctrl-C, SIGTERM and SIGHUP; what it has measured is still reported.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::signals::{self, Signal};
use crate::{stdio, terminal};

/// How long requests in flight may take to finish after a signal.
const GRACE: Duration = Duration::from_secs(5);

/// The signal that interrupted the run, if any. The default one listens for no signal, so a signal ends the process as
/// usual.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(RequestedSignal);

type RequestedSignal = Arc<watch::Sender<Option<Request>>>;

/// The end of the run, as a signal requested it.
#[derive(Clone, Copy, Debug)]
struct Request {
    signal: Signal,
    at: Instant,
    /// Whether this process received the signal, not another rank of the run.
    is_own: bool,
}

/// A signal interrupted the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} ended the run", .0.name)]
pub struct Interrupted(pub(crate) Signal);

impl Default for Interrupt {
    fn default() -> Interrupt {
        Interrupt(Arc::new(watch::Sender::new(None)))
    }
}

impl Interrupt {
    /// Listens for signals while the result or a clone of it exists: the first signal interrupts the run, the second ends
    /// the process.
    pub fn listen() -> Interrupt {
        let interrupt = Interrupt::default();
        lock(&STATE).run = Arc::downgrade(&interrupt.0);
        // If the system provides no thread or no signals, a signal ends the process.
        let _ = listen();
        interrupt
    }

    /// Whether a signal interrupted the run.
    pub fn came(&self) -> bool {
        self.signal().is_some()
    }

    /// Fails if a signal interrupted the run.
    ///
    /// # Errors
    /// [`Interrupted`], naming the signal.
    pub fn check(&self) -> Result<(), Interrupted> {
        self.signal()
            .map_or(Ok(()), |signal| Err(Interrupted(signal)))
    }

    /// The exit code that a shell reports for the signal: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP. `None` without
    /// a signal.
    pub fn exit_code(&self) -> Option<u8> {
        self.signal().map(Signal::exit_code)
    }

    /// Why the record of a point is partial; `None` without a signal.
    pub fn why_partial(&self) -> Option<String> {
        self.check()
            .err()
            .map(|interrupted| interrupted.to_string())
    }

    /// The result of `work`, unless a signal comes first.
    ///
    /// # Errors
    /// [`Interrupted`]; `work` is then dropped.
    pub async fn or<T>(&self, work: impl Future<Output = T>) -> Result<T, Interrupted> {
        tokio::select! {
            biased;
            signal = self.wait() => Err(Interrupted(signal)),
            result = work => Ok(result),
        }
    }

    /// Ends when the grace time after a signal is over.
    pub async fn grace_is_over(&self) {
        self.wait().await;
        tokio::time::sleep(GRACE).await;
    }

    /// When the grace time after a signal is over; `None` without a signal.
    pub fn grace_over_at(&self) -> Option<Instant> {
        let request = *self.0.borrow();
        request.map(|request| request.at + GRACE)
    }

    /// Interrupts the run because another rank of it received `signal`. The first signal that this process receives
    /// itself is still its first.
    pub fn follow(&self, signal: Signal) {
        let is_first = self.0.send_if_modified(|requested| {
            let is_first = requested.is_none();
            requested.get_or_insert(Request {
                signal,
                at: Instant::now(),
                is_own: false,
            });
            is_first
        });
        if is_first {
            print(&format!(
                "{} at another rank: ending after the requests in flight",
                signal.name
            ));
        }
    }

    async fn wait(&self) -> Signal {
        let mut requested = self.0.subscribe();
        let request = requested.wait_for(Option::is_some).await;
        match request.map(|request| *request) {
            Ok(Some(request)) => request.signal,
            // The sender lives as long as `self`.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// The signal that interrupted the run; `None` without one.
    pub fn signal(&self) -> Option<Signal> {
        let request = *self.0.borrow();
        request.map(|request| request.signal)
    }
}

/// How running servers are stopped before the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopMode {
    /// With a grace time.
    Orderly,
    /// Without a grace time.
    AtOnce,
}

/// Stops the servers that the process has started.
type StopServers = fn(StopMode);

static STATE: Mutex<State> = Mutex::new(State {
    run: Weak::new(),
    stop_servers: None,
    is_ending: false,
});

struct State {
    /// The run that the next signal interrupts. Between two runs there is none, and a signal ends the process.
    run: Weak<watch::Sender<Option<Request>>>,
    stop_servers: Option<StopServers>,
    /// Whether a signal is ending the process.
    is_ending: bool,
}

fn lock(state: &'static Mutex<State>) -> MutexGuard<'static, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registers a function that stops servers before a signal ends the process.
///
/// # Errors
/// Signals cannot be handled, so servers would be left running.
pub(crate) fn stop_before_exit(servers: StopServers) -> io::Result<()> {
    lock(&STATE).stop_servers = Some(servers);
    listen()
}

/// Starts to listen for signals, once per process.
fn listen() -> io::Result<()> {
    static LISTENING: OnceLock<Result<(), io::ErrorKind>> = OnceLock::new();
    let listening = LISTENING.get_or_init(|| signals::listen(handle).map_err(|e| e.kind()));
    listening.map_err(io::Error::from)
}

/// Interrupts the run under way. Without one, or at the second signal, ends the process.
fn handle(signal: Signal) {
    // If the terminal is gone, printing would fail.
    stdio::detach_lost_terminal();
    let mut state = lock(&STATE);
    let run = state.run.upgrade();
    let is_second = run.is_some() || state.is_ending;
    if run.as_ref().is_some_and(|run| request(run, signal)) {
        print(&format!(
            "{}: ending after the requests in flight; repeat to end at once",
            signal.name
        ));
        return;
    }
    state.is_ending = true;
    let stop_servers = state.stop_servers;
    drop(state);
    let end = move |how| {
        if let Some(stop) = stop_servers {
            stop(how);
        }
        std::process::exit(signal.exit_code().into());
    };
    if is_second {
        stdio::hurry();
    }
    if is_second || stop_servers.is_none() {
        print("");
        end(StopMode::AtOnce);
    }
    print(&format!(
        "{}: stopping the servers; repeat to end at once",
        signal.name
    ));
    // This thread must stay ready for the next signal.
    let ending = std::thread::Builder::new().spawn(move || end(StopMode::Orderly));
    if ending.is_err() {
        end(StopMode::AtOnce);
    }
}

/// Interrupts the run because this process received `signal`; returns whether it is the first that it received.
fn request(run: &RequestedSignal, signal: Signal) -> bool {
    run.send_if_modified(|requested| {
        let is_first = requested.is_none_or(|request| !request.is_own);
        // The signal of another rank stays the reason.
        let (signal, at) = requested.map_or((signal, Instant::now()), |request| {
            (request.signal, request.at)
        });
        *requested = Some(Request {
            signal,
            at,
            is_own: true,
        });
        is_first
    })
}

/// Prints a line of its own.
fn print(line: &str) {
    if terminal::draws() {
        terminal::clear_line();
    }
    eprintln!("{line}");
}
