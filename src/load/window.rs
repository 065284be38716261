use std::cell::Cell;

use crate::client::{CompletedRequest, Outcome, RequestRecord};
use crate::requests::Requests;

/// A span of a load: what finished in it, and how far the rest had come at its two ends.
#[derive(Clone, Debug)]
pub struct Window {
    /// Begin (ns of the run's clock).
    pub start_ns: u64,
    /// End: the completion of its last request (ns).
    pub end_ns: u64,
    /// Rounds of C finished requests in it.
    pub rounds: u64,
    /// The requests that ended in it, in the order of their ends.
    pub requests: Requests,
    /// Content events already received at its begin by requests that were in flight then.
    pub carried_in: u64,
    /// Content events already received at its end by requests still in flight.
    pub carried_out: u64,
    /// Requests in flight at its end, where the load does not fix their number: in an open loop.
    pub in_flight: Option<u64>,
}

/// A finished request of a steady load, and what the others had received at that moment:
/// a window may end here.
#[derive(Debug)]
pub(crate) struct Finished {
    pub record: RequestRecord,
    /// Content events that it had received.
    pub events: u64,
    pub in_flight_events: u64,
    /// Requests still in flight.
    pub in_flight: u64,
}

/// Where the next window of a steady load begins: the completion that ended the last one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Boundary {
    pub at_ns: u64,
    /// Content events of requests in flight, of which as many count as will be of answers: where requests fail,
    /// their events do not count as tokens received.
    pub in_flight_events: u64,
}

impl Boundary {
    /// Cuts the window of the next `rounds` rounds of `concurrency` completions and
    /// moves the boundary to its end. `next` yields completions in their order; the window
    /// is short where it yields no more.
    pub fn cut(
        &mut self,
        rounds: u64,
        concurrency: usize,
        next: impl FnMut() -> Option<Finished>,
    ) -> Window {
        let wanted = rounds.saturating_mul(concurrency as u64);
        self.cut_where(rounds, |ended, _| ended >= wanted, next)
    }

    /// As [`Boundary::cut`], but the window ends with the first completion at `due_ns` or later. Arrivals that were
    /// not sent end no window: a window of them alone has nothing of the servers.
    pub fn cut_at(
        &mut self,
        due_ns: u64,
        rounds: u64,
        mut next: impl FnMut() -> Option<Finished>,
    ) -> Window {
        let has_ended = Cell::new(false);
        let is_whole = |_, at_ns| has_ended.get() && at_ns >= due_ns;
        let mut in_flight = None;
        let next = || {
            next().inspect(|finished| {
                has_ended.set(has_ended.get() || finished.record.was_sent());
                in_flight = Some(finished.in_flight);
            })
        };
        let window = self.cut_where(rounds, is_whole, next);
        Window {
            in_flight,
            ..window
        }
    }

    /// `is_whole` is given how many requests have ended, and when the last one did.
    fn cut_where(
        &mut self,
        rounds: u64,
        is_whole: impl Fn(u64, u64) -> bool,
        mut next: impl FnMut() -> Option<Finished>,
    ) -> Window {
        let begin = *self;
        let mut requests = Requests::default();
        let (mut answered, mut lost) = (0, 0);
        while !is_whole(requests.len() as u64, self.at_ns) {
            let Some(finished) = next() else {
                break;
            };
            self.at_ns = self.at_ns.max(finished.record.end_ns);
            self.in_flight_events = finished.in_flight_events;
            match finished.record.outcome {
                Outcome::Completed(_) => answered += finished.events,
                Outcome::Failed(_) | Outcome::Blocked(_) => lost += finished.events,
            }
            requests.push(finished.record);
        }
        if lost > 0 {
            let share = answered as f64 / (answered + lost) as f64;
            self.in_flight_events = (self.in_flight_events as f64 * share).round() as u64;
        }
        Window {
            start_ns: begin.at_ns,
            end_ns: self.at_ns,
            rounds,
            requests,
            carried_in: begin.in_flight_events,
            carried_out: self.in_flight_events,
            in_flight: None,
        }
    }
}

impl Window {
    /// Counts only the whole rounds of `concurrency` requests, where it was cut short.
    pub(super) fn count_rounds(&mut self, concurrency: usize) {
        let rounds = (self.requests.len() / concurrency) as u64;
        self.rounds = self.rounds.min(rounds);
    }

    /// Takes the window that follows into this one.
    pub fn extend(&mut self, more: Window) {
        self.end_ns = more.end_ns;
        self.rounds += more.rounds;
        self.carried_out = more.carried_out;
        self.in_flight = more.in_flight.or(self.in_flight);
        self.requests.extend(more.requests.iter());
    }

    /// Windows that follow each other as one; `None` for none.
    pub fn joined(windows: Vec<Window>) -> Option<Window> {
        windows.into_iter().reduce(|mut joined, next| {
            joined.extend(next);
            joined
        })
    }

    /// Its length (ns); at least 1, so that a rate is always finite.
    pub fn wall_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns).max(1)
    }

    /// The length of several (ns); a damaged record may state more than there can be.
    pub fn total_wall_ns<'w>(windows: impl IntoIterator<Item = &'w Window>) -> u64 {
        let lengths = windows.into_iter().map(Window::wall_ns);
        lengths.fold(0, u64::saturating_add)
    }

    /// The requests that succeeded.
    pub fn completed(&self) -> impl Iterator<Item = CompletedRequest> + use<'_> {
        self.requests.completed()
    }

    /// How many requests succeeded.
    pub fn succeeded(&self) -> usize {
        self.requests.succeeded()
    }

    /// Whether a request succeeded.
    pub fn has_success(&self) -> bool {
        self.succeeded() > 0
    }

    /// Output tokens *received* in the window.
    ///
    /// Counts the tokens of the requests that completed in it, minus tokens that arrived before it began, plus
    /// tokens of requests still in flight at its end. For the requests in flight only
    /// content events are known; they are turned into tokens by the window's own ratio of tokens to
    /// events. `None` if no request completed, or no answer counts its tokens.
    pub fn output_tokens(&self) -> Option<f64> {
        let (mut tokens, mut events, mut counted) = (0_u64, 0_u64, false);
        for CompletedRequest { outcome, .. } in self.completed() {
            if let Some((output, _)) = outcome.output_tokens() {
                counted = true;
                tokens += u64::from(output);
                events += outcome.content_ns.len() as u64;
            }
        }
        if !counted {
            return None;
        }
        let tokens_per_event = match events {
            0 => 0.0,
            _ => tokens as f64 / events as f64,
        };
        let carried = self.carried_out as f64 - self.carried_in as f64;
        Some((tokens as f64 + carried * tokens_per_event).max(0.0))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::client::{Completion, Failure, FailureCause};

    /// A successful streamed request: `tokens` tokens in as many events, evenly spaced after `first_ns`.
    pub(crate) fn completed(
        start_ns: u64,
        first_ns: u64,
        end_ns: u64,
        tokens: u32,
    ) -> RequestRecord {
        let gap = (end_ns - first_ns) / u64::from(tokens.max(2) - 1);
        RequestRecord {
            index: 0,
            endpoint: 0,
            intended_ns: start_ns,
            is_scheduled: false,
            start_ns,
            sent_ns: start_ns,
            end_ns,
            safety_ns: 0,
            outcome: Outcome::Completed(Completion {
                last_byte_ns: end_ns,
                content_ns: (0..u64::from(tokens)).map(|i| first_ns + i * gap).collect(),
                first_answer_ns: None,
                usage_input: Some(10),
                usage_output: Some(tokens),
                refused_count: None,
                prompt_tokens: 10,
                requested_output: None,
                text: None,
                counted_output: None,
                finish_reason: Some("length".into()),
            }),
        }
    }

    pub(crate) fn window(
        requests: Vec<RequestRecord>,
        carried_in: u64,
        carried_out: u64,
    ) -> Window {
        Window {
            start_ns: 0,
            end_ns: 1_000,
            rounds: 1,
            requests: requests.into(),
            carried_in,
            carried_out,
            in_flight: None,
        }
    }

    #[test]
    fn tokens_are_counted_in_the_window_in_which_they_arrive() {
        let two = vec![completed(0, 100, 900, 8), completed(0, 100, 1_000, 8)];
        assert_eq!(window(two.clone(), 0, 0).output_tokens(), Some(16.0));
        assert_eq!(window(two, 5, 2).output_tokens(), Some(13.0));
    }

    #[test]
    fn events_in_flight_count_as_many_tokens_as_events_of_the_window_carried() {
        let mut request = completed(0, 100, 900, 4);
        if let Outcome::Completed(completion) = &mut request.outcome {
            completion.usage_output = Some(12);
        }
        assert_eq!(window(vec![request], 1, 3).output_tokens(), Some(18.0));
    }

    #[test]
    fn events_of_requests_that_fail_are_no_tokens() {
        // Every second request is broken off after 30 events; of 90 in flight 23 are of answers.
        let mut ended = (0..8).map(|k| {
            let mut record = completed(0, 100, 900 + k, 10);
            if k % 2 == 1 {
                let (cause, message) = (FailureCause::TooLarge, String::new());
                record.outcome = Outcome::Failed(Failure { cause, message });
            }
            Finished {
                record,
                events: if k % 2 == 1 { 30 } else { 10 },
                in_flight_events: 90,
                in_flight: 4,
            }
        });
        let mut boundary = Boundary::default();
        let window = boundary.cut(2, 4, || ended.next());
        assert_eq!((window.carried_in, window.carried_out), (0, 23));
        assert_eq!(window.output_tokens(), Some(40.0 + 23.0));
        assert_eq!(
            boundary.in_flight_events, 23,
            "the next window begins with them"
        );
    }

    #[test]
    fn a_window_without_success_has_no_token_figure() {
        assert_eq!(window(vec![], 3, 5).output_tokens(), None);
    }
}
