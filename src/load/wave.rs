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
        let start_ns = self.clock.now_ns();
        let mut requests = Vec::new();
        for _ in 0..iterations {
            let wave = self.runtime.block_on(self.round());
            requests.extend(wave);
        }
        let end_ns = requests.iter().map(|r| r.end_ns).max().unwrap_or(start_ns);
        Window {
            start_ns,
            end_ns,
            iterations,
            requests,
            carried_in: 0,
            carried_out: 0,
        }
    }

    /// Sends C requests at once; returns them in the order of their ends.
    async fn round(&self) -> Vec<crate::client::RequestRecord> {
        let mut wave = JoinSet::new();
        for slot in 0..self.slots.concurrency() {
            let (target, slots) = (Arc::clone(&self.target), Arc::clone(&self.slots));
            wave.spawn(async move { target.request(slots.counter(slot)).await });
        }
        let mut records = wave.join_all().await;
        records.sort_by_key(|record| record.end_ns);
        records
    }
}
