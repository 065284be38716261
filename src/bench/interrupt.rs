//! Ctrl-C in a run that can end early and still say what it has measured.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use crate::terminal;

/// Whether Ctrl-C was pressed; by default nobody listens for it, and it ends the process as usual.
#[derive(Clone, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

/// What a shell reports of a process that Ctrl-C has ended.
const ENDED_BY_CTRL_C: i32 = 130;

/// The run that the next Ctrl-C ends. Between two runs of a process there is none, and Ctrl-C ends it.
static RUNNING: Mutex<Weak<AtomicBool>> = Mutex::new(Weak::new());

impl Interrupt {
    /// Listens as long as the result lives: the first Ctrl-C asks the run to end, the second ends the
    /// process.
    pub fn listen() -> Interrupt {
        static LISTENING: Once = Once::new();
        let interrupt = Interrupt::default();
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&interrupt.0);
        LISTENING.call_once(|| {
            // Once listened to, Ctrl-C no longer ends the process by itself; so the thread stays. Where the
            // system gives no thread or no signals there is nothing to listen for.
            let _ = std::thread::Builder::new()
                .name("servemark-ctrl-c".into())
                .spawn(listen_for_ever);
        });
        interrupt
    }

    /// Whether the run was asked to end.
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

fn listen_for_ever() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let Ok(runtime) = runtime else {
        return;
    };
    while runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        match running.upgrade() {
            Some(came) if !came.swap(true, Ordering::Relaxed) => {
                if terminal::draws() {
                    terminal::clear_line();
                }
                eprintln!("Ctrl-C: ending with the requests in flight; again ends at once");
            }
            _ => {
                eprintln!();
                std::process::exit(ENDED_BY_CTRL_C);
            }
        }
    }
}
