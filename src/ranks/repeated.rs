//! Work that is repeated in a thread of its own.

use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Repeats some work until the work is done or this is dropped.
pub(super) struct Repeated {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Repeated {
    /// Starts a thread of this name, which does the work at once and then after every `interval`.
    pub fn start(
        name: &str,
        interval: Duration,
        mut work: impl FnMut() -> ControlFlow<()> + Send + 'static,
    ) -> std::io::Result<Repeated> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                while work().is_continue()
                    && stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout)
                {
                }
            })?;
        Ok(Repeated {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Repeated {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // If it had panicked, it would have ended as well.
            let _ = thread.join();
        }
    }
}
