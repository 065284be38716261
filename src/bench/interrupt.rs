//! Ctrl-C in a run that can end early and still say what it has measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;

use crate::terminal;

/// Whether Ctrl-C was pressed; by default nobody listens for it, and it ends the process as ever.
#[derive(Clone, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

/// What a shell reports of a process that Ctrl-C has ended.
const ENDED_BY_CTRL_C: i32 = 130;

impl Interrupt {
    /// Listens on `runtime`: the first Ctrl-C asks the run to end, the second ends the process.
    pub fn listen(runtime: &Handle) -> Interrupt {
        let interrupt = Interrupt::default();
        let came = interrupt.clone();
        runtime.spawn(async move {
            // Where the system gives no signals there is nothing to listen for.
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
            came.0.store(true, Ordering::Relaxed);
            if terminal::draws() {
                terminal::clear_line();
            }
            eprintln!("Ctrl-C: ending with the requests in flight; again ends at once");
            if tokio::signal::ctrl_c().await.is_ok() {
                eprintln!();
                std::process::exit(ENDED_BY_CTRL_C);
            }
        });
        interrupt
    }

    /// Whether the run was asked to end.
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
