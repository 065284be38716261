//! The wave: C requests at once, wait for all, again.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::{Slots, Target, Window};
use crate::client::Clock;

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

    pub fn window(&mut self, iterations: u64) -> Window {
        Window::of_waves(self.clock.now_ns(), iterations, || {
            self.runtime.block_on(self.round())
        })
    }

    /// Sends C requests at once and waits for all of them.
    async fn round(&self) -> Vec<crate::client::RequestRecord> {
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
        wave.join_all().await
    }
}
