use serde::Serialize;
use serde_json::Value;

use crate::client::{Completion, Outcome, RequestRecord};
use crate::endpoint::{Identity, MetricsInterval};
use crate::load::{SelfCheck, Window};
use crate::metrics::{Blocked, FailureCount, Summary};

/// Version of the record's form; raised when a reader of the old form would misread the new.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything known of one point of one run; the input of reports and comparisons.
///
/// Times are nanoseconds of the run's monotonic clock. Secrets are never part of it.
#[derive(Debug, Serialize)]
pub struct RunRecord<'a> {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Version of servemark that wrote it.
    pub servemark_version: &'static str,
    /// Wall-clock time at which the point ended (seconds since 1970).
    pub ended_unix_s: f64,
    /// Name of the benchmark.
    pub bench: &'a str,
    /// Which prompt.
    pub prompt: &'a str,
    /// Tokens of the prompt as the harness's tokenizer counts them.
    pub prompt_tokens: usize,
    /// Who counts prompts: the tokenizer in use.
    pub tokenizer: String,
    /// Requests in flight.
    pub concurrency: usize,
    /// The seed of prompts.
    pub seed: u64,
    /// What the endpoints simulate; null for a real server.
    pub simulated: Option<&'a str>,
    /// The effective configuration without its secrets.
    pub config: &'a Value,
    /// Who answered.
    pub endpoints: Vec<&'a Identity>,
    /// The figures; null where no request succeeded.
    pub summary: Option<&'a Summary>,
    /// Failures by cause, warm-up left out.
    pub failures: &'a [FailureCount],
    /// What the safety check stopped.
    pub blocked: &'a [Blocked],
    /// The server's own counters over about the same interval, for each endpoint.
    pub server_metrics: &'a [Option<MetricsInterval>],
    /// Whether the client kept up; null where it was not watched.
    pub self_check: Option<&'a SelfCheck>,
    /// The measured windows, in order.
    pub windows: Vec<WindowRecord>,
    /// The requests that ended in them, in order, as columns.
    pub requests: RequestColumns,
}

/// A window without its requests.
#[derive(Debug, Serialize)]
pub struct WindowRecord {
    start_ns: u64,
    end_ns: u64,
    iterations: u64,
    /// How many of the record's requests ended in it.
    requests: usize,
    /// Output tokens received in it.
    output_tokens: Option<f64>,
}

/// One array per field; position i is request i. `null` where a request has no such value.
#[derive(Debug, Default, Serialize)]
pub struct RequestColumns {
    index: Vec<u64>,
    endpoint: Vec<Option<usize>>,
    intended_ns: Vec<u64>,
    start_ns: Vec<u64>,
    sent_ns: Vec<u64>,
    end_ns: Vec<u64>,
    safety_ns: Vec<u64>,
    /// `ok`, or the cause of failure, or `blocked`.
    status: Vec<String>,
    last_byte_ns: Vec<Option<u64>>,
    input_tokens: Vec<Option<u32>>,
    output_tokens: Vec<Option<u32>>,
    /// Content events: the first as microseconds after `sent_ns`, each other after the one before.
    content_us: Vec<Vec<u64>>,
}

impl RequestColumns {
    fn push(&mut self, record: &RequestRecord) {
        self.index.push(record.index);
        self.endpoint
            .push((record.endpoint != usize::MAX).then_some(record.endpoint));
        self.intended_ns.push(record.intended_ns);
        self.start_ns.push(record.start_ns);
        self.sent_ns.push(record.sent_ns);
        self.end_ns.push(record.end_ns);
        self.safety_ns.push(record.safety_ns);
        let completion = match &record.outcome {
            Outcome::Completed(completion) => Some(completion),
            _ => None,
        };
        self.status.push(match &record.outcome {
            Outcome::Completed(_) => "ok".to_owned(),
            Outcome::Failed(failure) => failure.cause.to_string(),
            Outcome::Blocked(_) => "blocked".to_owned(),
        });
        self.last_byte_ns.push(completion.map(|c| c.last_byte_ns));
        self.input_tokens
            .push(completion.map(|c| c.input_tokens().0));
        self.output_tokens
            .push(completion.and_then(|c| Some(c.output_tokens()?.0)));
        self.content_us
            .push(completion.map_or(Vec::new(), |c| deltas_us(record.sent_ns, c)));
    }
}

/// Differences of rounded times, so that rounding does not add up along a stream.
fn deltas_us(sent_ns: u64, completion: &Completion) -> Vec<u64> {
    let mut last = 0;
    completion
        .content_ns
        .iter()
        .map(|at| {
            let us = (at.saturating_sub(sent_ns) + 500) / 1000;
            us - std::mem::replace(&mut last, us)
        })
        .collect()
}

impl<'a> RunRecord<'a> {
    /// Windows and requests in the record's form.
    pub fn columns(windows: &[Window]) -> (Vec<WindowRecord>, RequestColumns) {
        let mut requests = RequestColumns::default();
        for record in windows.iter().flat_map(|w| &w.requests) {
            requests.push(record);
        }
        let windows = windows
            .iter()
            .map(|w| WindowRecord {
                start_ns: w.start_ns,
                end_ns: w.end_ns,
                iterations: w.iterations,
                requests: w.requests.len(),
                output_tokens: w.output_tokens(),
            })
            .collect();
        (windows, requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::window_tests::{completed, window};

    #[test]
    fn content_times_are_recovered_from_their_differences() {
        let request = completed(1_000_000, 3_000_400, 11_000_900, 9);
        let (windows, columns) = RunRecord::columns(&[window(vec![request.clone()], 0, 0)]);
        assert_eq!(windows[0].requests, 1);
        let Outcome::Completed(completion) = &request.outcome else {
            unreachable!("made as completed");
        };
        let mut at_us = 0;
        for (delta, exact_ns) in columns.content_us[0]
            .iter()
            .zip(completion.content_ns.iter())
        {
            at_us += delta;
            let error_ns = (request.sent_ns + at_us * 1000).abs_diff(exact_ns);
            assert!(error_ns <= 500, "{error_ns} ns off");
        }
        assert_eq!(columns.content_us[0].len(), 9);
        assert_eq!(columns.status, ["ok"]);
    }
}
