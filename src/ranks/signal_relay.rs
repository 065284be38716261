//! A signal that one rank receives ends the run of all ranks.

use std::ops::ControlFlow;
use std::time::Duration;

use super::message_store::MessageStore;
use super::repeated::Repeated;
use crate::interrupt::Interrupt;
use crate::signals::Signal;

/// How often a signal is looked for, here and at the other ranks.
const INTERVAL: Duration = Duration::from_millis(100);

/// The message with the number of the signal.
const SIGNAL: &str = "signal";

/// Tells the other ranks of a signal, and interrupts the run if another rank received one.
pub(super) struct SignalRelay {
    messages: MessageStore,
    interrupt: Interrupt,
    thread: Option<Repeated>,
}

impl SignalRelay {
    pub fn start(messages: MessageStore, interrupt: Interrupt) -> std::io::Result<SignalRelay> {
        let thread = {
            let (messages, interrupt) = (messages.clone(), interrupt.clone());
            let relay = move || relay(&messages, &interrupt);
            Repeated::start("servemark-relay", INTERVAL, relay)?
        };
        Ok(SignalRelay {
            messages,
            interrupt,
            thread: Some(thread),
        })
    }
}

impl Drop for SignalRelay {
    /// A signal that came last is not lost.
    fn drop(&mut self) {
        self.thread = None;
        let _ = relay(&self.messages, &self.interrupt);
    }
}

/// Passes a signal on; the first one is the last that matters.
fn relay(messages: &MessageStore, interrupt: &Interrupt) -> ControlFlow<()> {
    let known = messages.read::<u8>(SIGNAL);
    let other = known.and_then(|message| Signal::numbered(message.content));
    match (interrupt.signal(), other) {
        (None, None) => return ControlFlow::Continue(()),
        (None, Some(signal)) => interrupt.follow(signal),
        (Some(_), Some(_)) => {}
        // If it cannot be written, the other ranks notice that this one has ended.
        (Some(signal), None) => drop(messages.send(SIGNAL, signal.number)),
    }
    ControlFlow::Break(())
}
