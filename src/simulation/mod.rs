//! Engine and load together in virtual time: a discrete-event simulation without sockets,
//! threads or waiting, which yields the same [`Window`]s as a real run of the same load.
//!
//! The engine's core is the one that the real engine runs, the windows are cut by the code
//! that cuts the real load's, and the balancing is the real one; only the clock and the wire
//! are replaced. Events happen in the order of their times: a replica's step ends, its tokens
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
use crate::config::LoadShape;
use crate::endpoint::RoundRobin;
use crate::engine::{EngineError, FinishReason, Sequence, TokenEvent, TokenStream, Vocabulary};
use crate::load::{Arrivals, Boundary, Finished, Rounds, TimedRounds, Window, not_sent};

pub use record::record;
pub use setup::{VirtualSetup, Wire};

use replica::SimulatedReplica;

/// A load on simulated replicas, in virtual time.
#[derive(Debug)]
pub struct VirtualLoad {
    setup: VirtualSetup,
    replicas: Vec<SimulatedReplica>,
    balance: RoundRobin,
    tokens: TokenStream,
    to_server_ns: u64,
    to_client_ns: u64,
    between_sends_ns: u64,
    /// When the client can send again.
    can_send_ns: u64,
    /// The requests in flight; the index is the id of the sequence.
    in_flight: Vec<SimulatedRequest>,
    /// The arrivals of an open loop.
    open: Option<OpenLoop>,
    /// Number of content events that the requests in flight have received.
    in_flight_events: u64,
    requests: u64,
    finished: VecDeque<Finished>,
    boundary: Boundary,
    /// The tokens of the last step; kept to reuse the allocation.
    events: Vec<TokenEvent>,
}

/// The arrivals of an open loop, and what they need.
#[derive(Debug)]
struct OpenLoop {
    arrivals: Arrivals,
    begin_ns: u64,
    next_ns: u64,
    rounds: TimedRounds,
    /// Indices that no request in flight has.
    free: Vec<usize>,
}

impl OpenLoop {
    fn new(setup: &VirtualSetup, begin_ns: u64) -> OpenLoop {
        let seed = setup.seeds.steps;
        let mut arrivals = Arrivals::new(setup.request_rate, setup.arrivals, seed);
        OpenLoop {
            next_ns: begin_ns + arrivals.next().unwrap_or(0),
            rounds: TimedRounds::new(begin_ns, &arrivals),
            arrivals,
            begin_ns,
            free: (0..setup.concurrency.get()).rev().collect(),
        }
    }

    /// When the next request arrives, and the index that it gets, if one is free.
    fn arrive(&mut self) -> (u64, Option<usize>) {
        let after_ns = self.arrivals.next().unwrap_or(u64::MAX);
        let next_ns = self.begin_ns.saturating_add(after_ns);
        let at_ns = std::mem::replace(&mut self.next_ns, next_ns);
        (at_ns, self.free.pop())
    }
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
        let mut load = VirtualLoad {
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
            in_flight: Vec::with_capacity(setup.concurrency.get()),
            in_flight_events: 0,
            open: (setup.shape == LoadShape::Open).then(|| OpenLoop::new(&setup, begin_ns)),
            requests: 0,
            finished: VecDeque::new(),
            boundary: Boundary {
                at_ns: begin_ns,
                in_flight_events: 0,
            },
            events: Vec::new(),
            setup,
        };
        if load.setup.shape == LoadShape::Steady {
            load.send_all(begin_ns);
        }
        Ok(load)
    }

    /// Runs until `rounds` more rounds are complete and returns them as a window, as
    /// [`Load::window`](crate::load::Load::window) does.
    pub fn window(&mut self, rounds: u64) -> Window {
        if let Some(open) = &self.open {
            let mut timed = open.rounds;
            let window = timed.window(rounds, || self.next_finished());
            self.open.iter_mut().for_each(|open| open.rounds = timed);
            return window;
        }
        let mut boundary = self.boundary;
        let window = match self.setup.shape {
            LoadShape::Wave => Window::of_waves(boundary.at_ns, rounds, || self.wave()),
            LoadShape::Steady | LoadShape::Open => {
                let concurrency = self.setup.concurrency.get();
                boundary.cut(rounds, concurrency, || self.next_finished())
            }
        };
        boundary.at_ns = window.end_ns;
        self.boundary = boundary;
        window
    }

    fn wave(&mut self) -> Vec<RequestRecord> {
        let concurrency = self.setup.concurrency.get();
        self.send_all(self.boundary.at_ns);
        let wave = std::iter::from_fn(|| self.next_finished()).take(concurrency);
        let wave: Vec<RequestRecord> = wave.map(|finished| finished.record).collect();
        let end_ns = wave.iter().map(|record| record.end_ns).max();
        self.boundary.at_ns = end_ns.unwrap_or(self.boundary.at_ns);
        wave
    }

    fn send_all(&mut self, now_ns: u64) {
        self.in_flight.clear();
        for place in 0..self.setup.concurrency.get() {
            let request = self.send(place, now_ns);
            self.in_flight.push(request);
        }
    }

    /// Sends the next request with this index in flight, as soon as the client can.
    fn send(&mut self, place: usize, now_ns: u64) -> SimulatedRequest {
        let sent_ns = now_ns.max(self.can_send_ns);
        self.can_send_ns = sent_ns.saturating_add(self.between_sends_ns);
        let index = self.requests;
        self.requests += 1;
        let endpoint = self.balance.pick();
        let sequence = Sequence {
            id: place as u64,
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

    /// Runs the simulation until a request finishes.
    fn next_finished(&mut self) -> Option<Finished> {
        while self.finished.is_empty() {
            let next = self.replicas.iter_mut();
            let next = next.min_by_key(|replica| replica.next_ns().unwrap_or(u64::MAX))?;
            let arrival_ns = self.open.as_ref().map(|open| open.next_ns);
            if arrival_ns.is_some_and(|at_ns| next.next_ns().is_none_or(|step| at_ns <= step)) {
                self.arrive();
                continue;
            }
            // In a closed loop a request is always in flight, so a replica is busy.
            let now_ns = next.next_ns()?;
            next.advance(now_ns, &mut self.events);
            self.deliver(now_ns.saturating_add(self.to_client_ns));
        }
        self.finished.pop_front()
    }

    /// Sends the next request of an open loop, unless too many are in flight.
    fn arrive(&mut self) {
        let Some((at_ns, place)) = self.open.as_mut().map(OpenLoop::arrive) else {
            return;
        };
        let Some(place) = place else {
            return self.finished.push_back(Finished {
                record: not_sent(at_ns, at_ns, self.setup.concurrency.get()),
                events: 0,
                in_flight_events: self.in_flight_events,
                in_flight: self.setup.concurrency.get() as u64,
            });
        };
        let request = self.send(place, at_ns);
        match self.in_flight.get_mut(place) {
            Some(before) => *before = request,
            // Indices are given out in their order.
            None => self.in_flight.push(request),
        }
    }

    /// Delivers the tokens of a step to the client.
    fn deliver(&mut self, now_ns: u64) {
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            let place = event.sequence as usize;
            self.in_flight[place].content_ns.push(now_ns);
            self.in_flight_events += 1;
            if event.finish.is_some() {
                self.finish(place, now_ns);
            }
        }
        self.events = events;
    }

    fn finish(&mut self, place: usize, now_ns: u64) {
        let content_ns = std::mem::take(&mut self.in_flight[place].content_ns);
        let events = content_ns.len() as u64;
        self.in_flight_events -= events;
        let SimulatedRequest {
            index,
            endpoint,
            intended_ns,
            sent_ns,
            ..
        } = self.in_flight[place];
        let prompt_tokens = u32::try_from(self.setup.prompt_tokens).unwrap_or(u32::MAX);
        let record = RequestRecord {
            index,
            endpoint,
            intended_ns,
            is_scheduled: self.open.is_some(),
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
                text: None,
                counted_output: None,
                finish_reason: Some("length".into()),
            }),
        };
        if let Some(open) = &mut self.open {
            open.free.push(place);
        }
        self.finished.push_back(Finished {
            record,
            events,
            in_flight_events: self.in_flight_events,
            in_flight: self.count_in_flight(),
        });
        if self.setup.shape == LoadShape::Steady {
            self.in_flight[place] = self.send(place, now_ns);
        }
    }

    /// Requests in flight in an open loop; a closed loop fixes them.
    fn count_in_flight(&self) -> u64 {
        let most = self.setup.concurrency.get();
        let free = self.open.as_ref().map_or(0, |open| open.free.len());
        most.saturating_sub(free) as u64
    }
}

impl Rounds for VirtualLoad {
    fn window(&mut self, rounds: u64) -> Window {
        VirtualLoad::window(self, rounds)
    }
}

#[cfg(test)]
mod tests;
