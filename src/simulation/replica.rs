use super::VirtualSetup;
use crate::engine::{EngineCore, Sequence, TokenEvent};

/// A simulated replica.
#[derive(Debug)]
pub(super) struct SimulatedReplica {
    core: EngineCore,
    /// End of the current step; `None` while idle.
    step_end_ns: Option<u64>,
}

impl SimulatedReplica {
    pub fn new(setup: &VirtualSetup, index: usize) -> SimulatedReplica {
        let VirtualSetup {
            preset,
            noise,
            slowdown,
            seeds,
            ..
        } = setup;
        SimulatedReplica {
            core: EngineCore::new(preset, *noise, *slowdown, *seeds, index),
            step_end_ns: None,
        }
    }

    pub fn submit(&mut self, arrival_ns: u64, sequence: Sequence) {
        self.core.submit(arrival_ns, sequence);
    }

    /// Time of the next event: a step ends or, while idle, a sequence can start one.
    pub fn next_ns(&self) -> Option<u64> {
        self.step_end_ns.or_else(|| self.core.next_entry_ns())
    }

    /// Processes the events at `now_ns`; appends the tokens of a step that ends.
    pub fn advance(&mut self, now_ns: u64, events: &mut Vec<TokenEvent>) {
        if self.step_end_ns.is_some() {
            self.core.end_step(events);
        }
        let step_ns = self.core.begin_step(now_ns);
        // A preset may give a time past the end of the axis; it is limited to the end.
        self.step_end_ns = step_ns.map(|step_ns| now_ns.saturating_add(step_ns));
    }
}
