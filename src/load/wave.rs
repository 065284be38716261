//! The wave: C requests at once, wait for all, again.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::pacing::{End, Pacing};
use super::slots::Slots;
use super::target::Target;
use super::window::Window;
use crate::client::{Clock, RequestRecord};

pub(super) struct Wave<T> {
    runtime: Handle,
    target: Arc<T>,
    slots: Arc<Slots>,
    clock: Clock,
}

impl<T: Target> Wave<T> {
    pub fn new(runtime: Handle, target: Arc<T>, slots: Arc<Slots>, clock: Clock) -> Wave<T> {
        Wave {
            runtime,
            target,
            slots,
            clock,
        }
    }

    /// Sends C requests at once and waits for all of them, or breaks them off at `end`.
    async fn round(&self, mut end: End<'_>) -> Vec<RequestRecord> {
        let intended_ns = self.clock.now_ns();
        let mut wave = JoinSet::new();
        for slot in 0..self.slots.concurrency() {
            let (target, slots) = (Arc::clone(&self.target), Arc::clone(&self.slots));
            wave.spawn(async move {
                let mut record = target.request(slots.begin(slot)).await;
                record.intended_ns = intended_ns;
                slots.end(slot, &record);
                record
            });
        }
        let mut ended = Vec::with_capacity(wave.len());
        loop {
            tokio::select! {
                biased;
                joined = wave.join_next() => match joined {
                    None => return ended,
                    Some(Ok(record)) => ended.push(record),
                    // A panic of a request ends the load, as if the request had been called here.
                    Some(Err(error)) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => return ended,
                    },
                },
                () = &mut end => break,
            }
        }
        wave.shutdown().await;
        ended
    }
}

impl<T: Target> Pacing for Wave<T> {
    fn window(&mut self, rounds: u64, mut end: End<'_>) -> Window {
        let mut is_over = false;
        let mut window = Window::of_waves(self.clock.now_ns(), rounds, || {
            if is_over {
                return Vec::new();
            }
            let wave = self.runtime.block_on(self.round(end.as_mut()));
            is_over = wave.len() < self.slots.concurrency();
            wave
        });
        window.count_rounds(self.slots.concurrency());
        window
    }
}
