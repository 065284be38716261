//! Ground truth: the true times at which requests arrive and tokens are emitted.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::output::FinishReason;

/// The ground truth of one request. Times are nanoseconds of the monotonic clock since
/// the engine's epoch ([`Engine::epoch`](super::Engine::epoch)), in real time whatever
/// the engine's speed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestTruth {
    /// The `id` of the response.
    pub request_id: String,
    /// The replica that served it, from 0.
    pub replica: usize,
    /// Prompt tokens, of all prompts of the request together.
    pub prompt_tokens: usize,
    /// The time at which the request's head and body had been read.
    pub arrival_ns: u64,
    /// Each choice (`n` for each prompt), by its index in the response.
    pub choices: Vec<ChoiceTruth>,
}

/// The ground truth of one choice of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChoiceTruth {
    /// Prompt tokens that came from the prefix cache.
    pub cached_prompt_tokens: usize,
    /// The start of the first step that worked on it; `None` while it waits.
    pub scheduled_ns: Option<u64>,
    /// The time at which each output token was emitted, that is, sent to the HTTP layer.
    pub token_ns: Vec<u64>,
    /// The time at which each token's event was written to the connection; empty if the response
    /// is not streamed.
    pub written_ns: Vec<u64>,
    /// The reason why it ended; `None` while it runs.
    pub finish_reason: Option<FinishReason>,
}

impl RequestTruth {
    /// Arrival on the caller's clock, given the engine's epoch.
    pub fn arrival(&self, epoch: Instant) -> Instant {
        epoch + Duration::from_nanos(self.arrival_ns)
    }
}

impl ChoiceTruth {
    /// Emission of each token on the caller's clock, given the engine's epoch.
    pub fn tokens(&self, epoch: Instant) -> impl Iterator<Item = Instant> + '_ {
        let at = move |ns: &u64| epoch + Duration::from_nanos(*ns);
        self.token_ns.iter().map(at)
    }
}

/// The truth of a request under way.
pub(super) type TruthRecord = Arc<Mutex<RequestTruth>>;

/// Locks a record. A panic elsewhere cannot leave it half-written.
pub(super) fn lock(record: &TruthRecord) -> std::sync::MutexGuard<'_, RequestTruth> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Largest number of tokens whose times are kept, 16 bytes each.
const TOKEN_CAPACITY: usize = 4 << 20;

/// The truth of the last requests, oldest dropped first.
#[derive(Debug)]
pub(super) struct TruthLog {
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    records: HashMap<String, TruthRecord>,
    order: VecDeque<Kept>,
    /// Tokens that the kept requests have or will have.
    tokens: usize,
}

#[derive(Debug)]
struct Kept {
    request_id: String,
    record: TruthRecord,
    tokens: usize,
}

impl TruthLog {
    pub(super) fn new(capacity: usize) -> TruthLog {
        TruthLog {
            capacity: capacity.max(1),
            inner: Mutex::default(),
        }
    }

    /// Starts the record of a request that will have `tokens` tokens. It replaces an earlier
    /// request of the same id.
    pub(super) fn open(&self, truth: RequestTruth, tokens: usize) -> TruthRecord {
        let request_id = truth.request_id.clone();
        let record = Arc::new(Mutex::new(truth));
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.records.insert(request_id.clone(), record.clone());
        inner.tokens += tokens;
        inner.order.push_back(Kept {
            request_id,
            record: record.clone(),
            tokens,
        });
        while inner.order.len() > self.capacity
            || (inner.tokens > TOKEN_CAPACITY && inner.order.len() > 1)
        {
            inner.drop_oldest();
        }
        record
    }

    /// The record of a request so far.
    pub(super) fn get(&self, id: &str) -> Option<RequestTruth> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let record = inner.records.get(id)?.clone();
        drop(inner);
        let truth = lock(&record).clone();
        Some(truth)
    }
}

impl Inner {
    fn drop_oldest(&mut self) {
        let Some(oldest) = self.order.pop_front() else {
            return;
        };
        self.tokens -= oldest.tokens;
        // A later request may have the same id.
        let kept = self.records.get(&oldest.request_id);
        if kept.is_some_and(|kept| Arc::ptr_eq(kept, &oldest.record)) {
            self.records.remove(&oldest.request_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(id: &str, arrival_ns: u64) -> RequestTruth {
        RequestTruth {
            request_id: id.to_owned(),
            replica: 0,
            prompt_tokens: 1,
            arrival_ns,
            choices: vec![ChoiceTruth::default()],
        }
    }

    #[test]
    fn only_the_last_requests_are_kept() {
        let log = TruthLog::new(2);
        for (arrival, id) in ["a", "b", "c"].into_iter().enumerate() {
            log.open(truth(id, arrival as u64), 4);
        }
        assert_eq!(log.get("a"), None);
        assert_eq!(log.get("c").map(|truth| truth.arrival_ns), Some(2));
    }

    #[test]
    fn a_reused_id_shows_the_later_request_and_outlives_the_earlier() {
        let log = TruthLog::new(2);
        log.open(truth("a", 1), 4);
        log.open(truth("a", 2), 4);
        log.open(truth("b", 3), 4);
        assert_eq!(log.get("a").map(|truth| truth.arrival_ns), Some(2));
    }

    #[test]
    fn long_outputs_push_older_requests_out() {
        let log = TruthLog::new(100);
        log.open(truth("a", 1), 1);
        log.open(truth("b", 2), TOKEN_CAPACITY);
        assert_eq!(log.get("a"), None);
        assert!(log.get("b").is_some(), "the last one is always kept");
    }

    #[test]
    fn a_record_is_seen_while_it_grows() {
        let log = TruthLog::new(1);
        let record = log.open(truth("a", 5), 4);
        lock(&record).choices[0].token_ns.push(9);
        let seen = log.get("a").expect("open");
        let epoch = Instant::now();
        let tokens: Vec<_> = seen.choices[0].tokens(epoch).collect();
        assert_eq!(tokens, [epoch + Duration::from_nanos(9)]);
        assert_eq!(seen.arrival(epoch), epoch + Duration::from_nanos(5));
    }
}
