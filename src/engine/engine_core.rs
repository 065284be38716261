//! The simulated vLLM without sockets and without a clock: arrivals and steps on a
//! time line that the caller advances.
//!
//! Times are nanoseconds of *engine time*, counted from the engine's start. They
//! are whatever the driver of the core uses: wall-clock time, scaled wall-clock time,
//! or the virtual time of a discrete-event simulation. Equal calls give equal steps.

use std::collections::VecDeque;

use super::noise::{Noise, NoiseProcess, Seeds};
use super::preset::{Frontend, Preset};
use super::scheduler::{Scheduler, Sequence, SequenceId, TokenEvent};
use super::step_time::{Slowdown, StepTime};

/// One replica's scheduler with the time that its steps take.
#[derive(Debug)]
pub struct EngineCore {
    scheduler: Scheduler,
    step_time: StepTime,
    slowdown: Slowdown,
    noise: NoiseProcess,
    frontend: Frontend,
    /// The time at which the frontend can start with the next sequence.
    frontend_free_ns: u64,
    /// Sequences in the frontend, each with the time at which it leaves.
    entering: VecDeque<(u64, Sequence)>,
}

impl EngineCore {
    /// Creates an idle replica of `preset`.
    ///
    /// `seeds` select the noise of the run, and `replica` the part of this replica.
    pub fn new(
        preset: &Preset,
        noise: Noise,
        slowdown: Slowdown,
        seeds: Seeds,
        replica: usize,
    ) -> EngineCore {
        EngineCore {
            scheduler: Scheduler::new(preset.scheduler),
            step_time: preset.step_time,
            slowdown,
            noise: NoiseProcess::new(noise, seeds, replica),
            frontend: preset.frontend,
            frontend_free_ns: 0,
            entering: VecDeque::new(),
        }
    }

    /// The queues and the KV cache.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Adds a sequence that arrived at `arrival_ns`, not earlier than the previous one.
    pub fn submit(&mut self, arrival_ns: u64, sequence: Sequence) {
        let free_ns = &mut self.frontend_free_ns;
        let ready_ns = self
            .frontend
            .pass(arrival_ns, sequence.prompt.len(), free_ns);
        self.entering.push_back((ready_ns, sequence));
    }

    /// Drops a sequence, queued or running. Returns `false` if it is unknown.
    pub fn abort(&mut self, id: SequenceId) -> bool {
        let entering = self.entering.iter().position(|(_, s)| s.id == id);
        match entering {
            Some(at) => self.entering.remove(at).is_some(),
            None => self.scheduler.abort(id),
        }
    }

    /// The time at which the next sequence leaves the frontend.
    pub fn next_entry_ns(&self) -> Option<u64> {
        self.entering.front().map(|(ready_ns, _)| *ready_ns)
    }

    /// The number of sequences in the frontend, which no queue counts yet.
    pub fn entering(&self) -> usize {
        self.entering.len()
    }

    /// Begins a step at `now_ns`. Returns its duration (ns), or `None` if there is no work.
    ///
    /// After that time the caller calls [`EngineCore::end_step`].
    pub fn begin_step(&mut self, now_ns: u64) -> Option<u64> {
        while self.next_entry_ns().is_some_and(|ready| ready <= now_ns) {
            if let Some((_, sequence)) = self.entering.pop_front() {
                self.scheduler.submit(sequence);
            }
        }
        let load = self.scheduler.schedule()?;
        let exact_ns = self.step_time.exact_ns(&load, self.slowdown);
        // The cast saturates: an extreme parameter gives a very long step, not a wrong one.
        Some(self.noise.apply(now_ns, exact_ns).round() as u64)
    }

    /// Ends the step: appends to `events` each token it produced, in order of admission.
    pub fn end_step(&mut self, events: &mut Vec<TokenEvent>) {
        self.scheduler.complete(events);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::output::FinishReason;
    use super::super::text::{TokenStream, tests::small_vocabulary};
    use super::*;

    fn core(frontend: Frontend) -> EngineCore {
        let mut preset = Preset::named("instant").expect("shipped");
        preset.step_time.base_us = 1_000.0;
        preset.frontend = frontend;
        EngineCore::new(&preset, Noise::default(), Slowdown::NONE, Seeds::from(0), 0)
    }

    const HALF_A_MS: Frontend = Frontend {
        latency_us: 500.0,
        ..Frontend::NONE
    };

    fn sequence(id: SequenceId) -> Sequence {
        Sequence {
            id,
            prompt: Arc::from([1, 2, 3]),
            stream: TokenStream::new(id, small_vocabulary()),
            output_tokens: 2,
            finish: FinishReason::Length,
        }
    }

    #[test]
    fn a_sequence_is_scheduled_after_the_frontend() {
        let mut core = core(HALF_A_MS);
        core.submit(100, sequence(1));
        assert_eq!(core.begin_step(100), None);
        assert_eq!(core.next_entry_ns(), Some(500_100));
        assert_eq!(core.begin_step(500_099), None);
        assert_eq!(core.begin_step(500_100), Some(1_000_000));
        assert_eq!(core.next_entry_ns(), None);
    }

    #[test]
    fn the_frontend_handles_one_sequence_after_another() {
        let mut core = core(Frontend {
            per_request_us: 70.0,
            per_prompt_token_us: 10.0,
            ..HALF_A_MS
        });
        (0..3).for_each(|id| core.submit(0, sequence(id)));
        core.submit(1_000_000, sequence(3));
        let mut ready_us = Vec::new();
        while let Some(ready_ns) = core.next_entry_ns() {
            ready_us.push(ready_ns / 1_000);
            core.entering.pop_front();
        }
        assert_eq!(ready_us, [600, 700, 800, 1_600]);
    }

    #[test]
    fn an_arrival_during_a_step_waits_for_the_next() {
        let mut core = core(Frontend::NONE);
        core.submit(0, sequence(1));
        assert_eq!(core.begin_step(0), Some(1_000_000));
        core.submit(10, sequence(2));
        let mut events = Vec::new();
        core.end_step(&mut events);
        assert_eq!(events.len(), 1);
        core.begin_step(1_000_000);
        core.end_step(&mut events);
        let whose: Vec<_> = events.iter().map(|event| event.sequence).collect();
        assert_eq!(whose, [1, 1, 2]);
    }

    #[test]
    fn a_sequence_is_aborted_in_the_frontend_too() {
        let mut core = core(HALF_A_MS);
        core.submit(0, sequence(1));
        assert!(core.abort(1));
        assert!(!core.abort(1));
        assert_eq!(core.begin_step(1_000_000), None);
    }
}
