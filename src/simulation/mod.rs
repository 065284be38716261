//! Engine and load together in virtual time: a discrete-event simulation without sockets,
//! threads or waiting, which yields the same [`Window`]s as a real run of the same load.
//!
//! The engine's core is the one that the real engine runs, the pacing is the one that starts the
//! real load's requests and cuts its windows, and the balancing is the real one; only the clock and
//! the wire are replaced. Events happen in the order of their times: a replica's step ends, its tokens
//! reach the client after [`Wire::to_client`], a finished request is replaced at once, and the
//! new one reaches its replica after [`Wire::to_server`]. Minutes of a server's life take
//! milliseconds, so a statistic can be tried on thousands of runs whose truth is known.
//!
//! ```
//! use servemark::internals::engine::Preset;
//! use servemark::internals::simulation::{VirtualLoad, VirtualSetup};
//!
//! let setup = VirtualSetup::new(Preset::named("llama3-8b-h100").expect("shipped"));
//! let mut load = VirtualLoad::start(setup).expect("a sound preset");
//! load.window(5); // warm-up
//! let window = load.window(20);
//! let tok_s = window.output_tokens().expect("requests completed") / (window.wall_ns() as f64 * 1e-9);
//! assert!(tok_s > 100.0);
//! ```

mod record;
mod replica;
mod setup;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::client::{Completion, Outcome, RequestRecord, Timestamps};
use crate::endpoint::RoundRobin;
use crate::engine::{EngineError, FinishReason, Sequence, TokenEvent, TokenStream, Vocabulary};
use crate::load::{Finished, Rounds, Runner, Starts, Window, Windows, not_sent};

pub use record::record;
pub use setup::{VirtualSetup, Wire};

use replica::SimulatedReplica;

/// A load on simulated replicas, in virtual time.
#[derive(Debug)]
pub struct VirtualLoad {
    windows: Box<dyn Windows>,
    simulation: Simulation,
}

/// What the windows of a [`VirtualLoad`] are cut from.
#[derive(Debug)]
struct Simulation {
    setup: VirtualSetup,
    replicas: Vec<SimulatedReplica>,
    balance: RoundRobin,
    tokens: TokenStream,
    to_server_ns: u64,
    to_client_ns: u64,
    between_sends_ns: u64,
    /// When the client can send again.
    can_send_ns: u64,
    /// The client's time.
    now_ns: u64,
    starts: Box<dyn Starts>,
    is_scheduled: bool,
    /// The slots that no request in flight has.
    free: Vec<usize>,
    /// The requests in flight, by slot, which is the id of the sequence.
    in_flight: Vec<SimulatedRequest>,
    /// Number of content events that the requests in flight have received.
    in_flight_events: u64,
    requests: u64,
    finished: VecDeque<Finished>,
    /// The tokens of the last step; kept to reuse the allocation.
    events: Vec<TokenEvent>,
}

#[derive(Debug)]
struct SimulatedRequest {
    index: u64,
    endpoint: usize,
    intended_ns: u64,
    sent_ns: u64,
    content_ns: Timestamps,
}

impl VirtualLoad {
    /// Starts the load at [`VirtualSetup::begin`]; a steady load sends at once, a wave load when a window is
    /// requested.
    ///
    /// # Errors
    /// [`EngineError`] for an invalid preset, or requests that do not fit its context.
    pub fn start(setup: VirtualSetup) -> Result<VirtualLoad, EngineError> {
        setup.preset.check()?;
        let output_tokens = setup.output_tokens.get() as usize;
        let length = setup.prompt_tokens.saturating_add(output_tokens);
        let context = setup.preset.scheduler.max_model_len;
        if length > context {
            return Err(EngineError::InvalidOption {
                option: "prompt_tokens",
                problem: format!(
                    "prompt and output of {length} tokens exceed max_model_len = {context}"
                ),
            });
        }
        let replicas = (0..setup.replicas.get()).map(|index| SimulatedReplica::new(&setup, index));
        let pieces = (0..256).map(|id| (id, format!(" {id}")));
        let nanos = |duration: Duration| duration.as_nanos() as u64;
        let begin_ns = nanos(setup.begin);
        let pacing = setup.pacing(begin_ns);
        let simulation = Simulation {
            replicas: replicas.collect(),
            balance: RoundRobin::new(setup.replicas),
            tokens: TokenStream::new(
                setup.seeds.steps,
                Arc::new(Vocabulary::from_pieces(pieces)?),
            ),
            to_server_ns: nanos(setup.wire.to_server),
            to_client_ns: nanos(setup.wire.to_client),
            between_sends_ns: nanos(setup.wire.between_sends),
            can_send_ns: begin_ns,
            now_ns: begin_ns,
            starts: pacing.starts,
            is_scheduled: pacing.is_scheduled,
            free: (0..pacing.most_in_flight.get()).rev().collect(),
            in_flight: Vec::with_capacity(pacing.most_in_flight.get()),
            in_flight_events: 0,
            requests: 0,
            finished: VecDeque::new(),
            events: Vec::new(),
            setup,
        };
        Ok(VirtualLoad {
            windows: pacing.windows,
            simulation,
        })
    }

    /// Runs until `rounds` more rounds are complete and returns them as a window, as
    /// [`Load::window`](crate::load::Load::window) does.
    pub fn window(&mut self, rounds: u64) -> Window {
        self.windows.window(rounds, &mut self.simulation)
    }
}

impl Simulation {
    /// Sends the next request of this slot, as soon as the client can.
    fn send(&mut self, slot: usize, now_ns: u64) -> SimulatedRequest {
        let sent_ns = now_ns.max(self.can_send_ns);
        self.can_send_ns = sent_ns.saturating_add(self.between_sends_ns);
        let index = self.requests;
        self.requests += 1;
        let endpoint = self.balance.pick();
        let sequence = Sequence {
            id: slot as u64,
            prompt: self.prompt(index),
            stream: self.tokens.clone(),
            output_tokens: self.setup.output_tokens.get(),
            finish: FinishReason::Length,
        };
        self.replicas[endpoint].submit(sent_ns.saturating_add(self.to_server_ns), sequence);
        SimulatedRequest {
            index,
            endpoint,
            intended_ns: now_ns,
            sent_ns,
            content_ns: Timestamps::with_capacity(self.setup.output_tokens.get() as usize),
        }
    }

    /// Tokens of a prompt: the shared ones, then unique ones.
    fn prompt(&self, index: u64) -> Arc<[u32]> {
        let shared = self.setup.shared_prefix_tokens;
        // Shared tokens are odd, unique ones even and different in each request.
        let own = (index as u32).wrapping_mul(2);
        let token = |position: usize| match position < shared {
            true => position as u32 * 2 + 1,
            false => own,
        };
        (0..self.setup.prompt_tokens).map(token).collect()
    }

    /// Starts a request at `now_ns`, if a slot is free.
    fn start(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        let Some(slot) = self.free.pop() else {
            return self.finished.push_back(Finished {
                record: not_sent(now_ns, now_ns, self.setup.concurrency.get()),
                events: 0,
                in_flight_events: self.in_flight_events,
                in_flight: self.count_in_flight(),
            });
        };
        let request = self.send(slot, now_ns);
        match self.in_flight.get_mut(slot) {
            Some(before) => *before = request,
            // Slots are given out in their order.
            None => self.in_flight.push(request),
        }
    }

    /// Delivers the tokens of a step to the client.
    fn deliver(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            let slot = event.sequence as usize;
            self.in_flight[slot].content_ns.push(now_ns);
            self.in_flight_events += 1;
            if event.finish.is_some() {
                self.finish(slot, now_ns);
            }
        }
        self.events = events;
    }

    fn finish(&mut self, slot: usize, now_ns: u64) {
        let content_ns = std::mem::take(&mut self.in_flight[slot].content_ns);
        let events = content_ns.len() as u64;
        self.in_flight_events -= events;
        let SimulatedRequest {
            index,
            endpoint,
            intended_ns,
            sent_ns,
            ..
        } = self.in_flight[slot];
        let prompt_tokens = u32::try_from(self.setup.prompt_tokens).unwrap_or(u32::MAX);
        let record = RequestRecord {
            index,
            endpoint,
            intended_ns,
            is_scheduled: self.is_scheduled,
            start_ns: sent_ns,
            sent_ns,
            end_ns: now_ns,
            safety_ns: 0,
            outcome: Outcome::Completed(Completion {
                last_byte_ns: now_ns,
                content_ns,
                first_answer_ns: None,
                usage_input: Some(prompt_tokens),
                usage_output: Some(self.setup.output_tokens.get()),
                refused_count: None,
                prompt_tokens,
                requested_output: None,
                text: None,
                counted_output: None,
                finish_reason: Some("length".into()),
            }),
        };
        let is_replaced = self.starts.ended(&record);
        if !is_replaced {
            self.free.push(slot);
        }
        self.finished.push_back(Finished {
            record,
            events,
            in_flight_events: self.in_flight_events,
            in_flight: self.count_in_flight(),
        });
        if is_replaced {
            self.in_flight[slot] = self.send(slot, now_ns);
        }
    }

    fn count_in_flight(&self) -> u64 {
        (self.setup.concurrency.get() - self.free.len()) as u64
    }
}

impl Runner for Simulation {
    fn now_ns(&self) -> u64 {
        self.now_ns
    }

    fn fill(&mut self) {
        while !self.free.is_empty() {
            self.start(self.now_ns);
        }
    }

    /// Runs the simulation until a request finishes; `None` if nothing happens any more.
    fn next(&mut self) -> Option<Finished> {
        while self.finished.is_empty() {
            let next = self.replicas.iter_mut();
            let next = next.min_by_key(|replica| replica.next_ns().unwrap_or(u64::MAX))?;
            let step_ns = next.next_ns();
            match self.starts.next_ns() {
                Some(due_ns) if step_ns.is_none_or(|step_ns| due_ns <= step_ns) => {
                    self.starts.advance();
                    self.start(due_ns);
                }
                _ => {
                    let step_ns = step_ns?;
                    next.advance(step_ns, &mut self.events);
                    self.deliver(step_ns.saturating_add(self.to_client_ns));
                }
            }
        }
        self.finished.pop_front()
    }
}

impl Rounds for VirtualLoad {
    fn window(&mut self, rounds: u64) -> Window {
        VirtualLoad::window(self, rounds)
    }
}

#[cfg(test)]
mod tests;
