use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::client::{
    Block, BlockStage, Completion, Failure, FailureCause, Outcome, RequestRecord, TokenSource,
};

/// One array per field; position i is request i. `null` where a request has no such value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestColumns {
    /// Position in the run.
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
    /// Who counted the output tokens.
    output_source: Vec<Option<TokenSource>>,
    finish_reason: Vec<Option<String>>,
    /// Content events: the first as microseconds after `sent_ns`, each other after the one before.
    content_us: Vec<Vec<u64>>,
    /// The first event of the answer itself as microseconds after `sent_ns`, by the request's position, where
    /// reasoning came before it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    first_answer_us: BTreeMap<usize, u64>,
    /// Positions of the requests whose `usage` counts no output token although text came.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    counts_zero: BTreeSet<usize>,
    /// What the `usage` of a request counts as output tokens where that is far more than was asked for, by the
    /// request's position.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    impossible_counts: BTreeMap<usize, u32>,
    /// What the safety check stopped, by the request's position.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    blocks: BTreeMap<usize, Block>,
}

const OK: &str = "ok";
const BLOCKED: &str = "blocked";

impl<'a> FromIterator<&'a RequestRecord> for RequestColumns {
    fn from_iter<I: IntoIterator<Item = &'a RequestRecord>>(requests: I) -> RequestColumns {
        let mut columns = RequestColumns::default();
        requests
            .into_iter()
            .for_each(|request| columns.push(request));
        columns
    }
}

impl RequestColumns {
    fn push(&mut self, record: &RequestRecord) {
        if let Outcome::Blocked(block) = &record.outcome {
            self.blocks.insert(self.index.len(), block.clone());
        }
        if let Outcome::Completed(completion) = &record.outcome {
            let at = self.index.len();
            if let Some(at_ns) = completion.first_answer_ns {
                let after_us = micros_after(record.sent_ns, at_ns);
                self.first_answer_us.insert(at, after_us);
            }
            match completion.refused_count {
                None => {}
                Some(0) => {
                    self.counts_zero.insert(at);
                }
                Some(count) => {
                    self.impossible_counts.insert(at, count);
                }
            }
        }
        self.index.push(record.index);
        self.endpoint
            .push((record.endpoint != usize::MAX).then_some(record.endpoint));
        self.intended_ns.push(record.intended_ns);
        self.start_ns.push(record.start_ns);
        self.sent_ns.push(record.sent_ns);
        self.end_ns.push(record.end_ns);
        self.safety_ns.push(record.safety_ns);
        self.status.push(match &record.outcome {
            Outcome::Completed(_) => OK.to_owned(),
            Outcome::Failed(failure) => failure.cause.to_string(),
            Outcome::Blocked(_) => BLOCKED.to_owned(),
        });
        let completion = match &record.outcome {
            Outcome::Completed(completion) => Some(completion),
            _ => None,
        };
        let output = completion.and_then(Completion::output_tokens);
        self.last_byte_ns.push(completion.map(|c| c.last_byte_ns));
        self.input_tokens
            .push(completion.map(|c| c.input_tokens().0));
        self.output_tokens.push(output.map(|(tokens, _)| tokens));
        self.output_source.push(output.map(|(_, source)| source));
        self.finish_reason
            .push(completion.and_then(|c| c.finish_reason.clone()));
        self.content_us
            .push(completion.map_or(Vec::new(), |c| deltas_us(record.sent_ns, c)));
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The requests again, without texts and messages of failures.
    ///
    /// A record that somebody has cut short yields as many as every column has.
    pub fn iter(&self) -> impl Iterator<Item = RequestRecord> {
        let lengths = [
            self.index.len(),
            self.endpoint.len(),
            self.intended_ns.len(),
            self.start_ns.len(),
            self.sent_ns.len(),
            self.end_ns.len(),
            self.safety_ns.len(),
            self.status.len(),
            self.last_byte_ns.len(),
            self.input_tokens.len(),
            self.output_tokens.len(),
            self.output_source.len(),
            self.finish_reason.len(),
            self.content_us.len(),
        ];
        let length = lengths.into_iter().min().unwrap_or(0);
        (0..length).map(|at| self.request(at))
    }

    fn request(&self, at: usize) -> RequestRecord {
        RequestRecord {
            index: self.index[at],
            endpoint: self.endpoint[at].unwrap_or(usize::MAX),
            intended_ns: self.intended_ns[at],
            start_ns: self.start_ns[at],
            sent_ns: self.sent_ns[at],
            end_ns: self.end_ns[at],
            safety_ns: self.safety_ns[at],
            outcome: match self.status[at].as_str() {
                OK => Outcome::Completed(self.completion(at)),
                BLOCKED => Outcome::Blocked(self.blocks.get(&at).cloned().unwrap_or(Block {
                    // Written before blocks were.
                    stage: BlockStage::Prompt,
                    category: String::new(),
                    severity: 0,
                })),
                cause => Outcome::Failed(Failure {
                    cause: FailureCause::named(cause),
                    message: String::new(),
                }),
            },
        }
    }

    fn completion(&self, at: usize) -> Completion {
        let mut at_ns = self.sent_ns[at];
        let arrival = |us: &u64| {
            at_ns = u64::saturating_add(at_ns, us.saturating_mul(1_000));
            at_ns
        };
        let counted_by = |source| {
            let tokens = self.output_tokens[at];
            tokens.filter(|_| self.output_source[at] == Some(source))
        };
        Completion {
            last_byte_ns: self.last_byte_ns[at].unwrap_or(self.end_ns[at]),
            content_ns: self.content_us[at].iter().map(arrival).collect(),
            first_answer_ns: self
                .first_answer_us
                .get(&at)
                .map(|us| self.sent_ns[at].saturating_add(us.saturating_mul(1_000))),
            usage_input: self.input_tokens[at],
            usage_output: counted_by(TokenSource::Server),
            refused_count: match self.counts_zero.contains(&at) {
                true => Some(0),
                false => self.impossible_counts.get(&at).copied(),
            },
            prompt_tokens: self.input_tokens[at].unwrap_or(0),
            text: None,
            counted_output: counted_by(TokenSource::Tokenizer),
            finish_reason: self.finish_reason[at].clone(),
        }
    }
}

/// The whole microseconds nearest to what lies between two times.
fn micros_after(sent_ns: u64, at_ns: u64) -> u64 {
    (at_ns.saturating_sub(sent_ns) + 500) / 1000
}

/// Differences of rounded times, so that rounding does not add up along a stream.
fn deltas_us(sent_ns: u64, completion: &Completion) -> Vec<u64> {
    let mut last = 0;
    completion
        .content_ns
        .iter()
        .map(|at| {
            let us = micros_after(sent_ns, at);
            us - std::mem::replace(&mut last, us)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Window;
    use crate::load::window_tests::{completed, window};
    use crate::metrics::Summary;
    use crate::results::RunRecord;

    #[test]
    fn content_times_are_recovered_from_their_differences() {
        let request = completed(1_000_000, 3_000_400, 11_000_900, 9);
        let (windows, columns) = RunRecord::columns(&[[window(vec![request.clone()], 0, 0)]]);
        assert_eq!(windows[0].requests, 1);
        let Outcome::Completed(exact) = &request.outcome else {
            unreachable!("made as completed");
        };
        let read = columns.iter().next().expect("a request");
        let Outcome::Completed(read) = &read.outcome else {
            unreachable!("its status is ok");
        };
        assert_eq!(read.content_ns.len(), 9);
        for (read, exact) in read.content_ns.iter().zip(exact.content_ns.iter()) {
            assert!(
                read.abs_diff(exact) <= 500,
                "{} ns off",
                read.abs_diff(exact)
            );
        }
        assert_eq!(columns.status, ["ok"]);
    }

    #[test]
    fn every_figure_can_be_taken_from_the_columns_again() {
        let mut requests: Vec<RequestRecord> = (1..20)
            .map(|k| completed(k * 1_000_000, (k + 3) * 1_000_000, (k + 39) * 1_000_000, 7))
            .collect();
        if let Outcome::Completed(completion) = &mut requests[3].outcome {
            (completion.usage_output, completion.counted_output) = (None, Some(5));
            (completion.refused_count, completion.first_answer_ns) = (Some(0), Some(9_000_000));
        }
        for (at, cause) in [(5, FailureCause::Http(503)), (6, FailureCause::Timeout)] {
            let message = String::new();
            requests[at].outcome = Outcome::Failed(Failure { cause, message });
        }
        requests[8].outcome = Outcome::Blocked(Block {
            stage: BlockStage::Answer,
            category: "Violence".into(),
            severity: 4,
        });
        let windows: Vec<Window> = requests
            .chunks(7)
            .map(|requests| window(requests.to_vec(), 3, 5))
            .collect();
        let (records, columns) = RunRecord::columns(&[&windows]);
        let json = serde_json::to_string(&columns).expect("JSON");
        let read: RequestColumns = serde_json::from_str(&json).expect("columns");
        assert_eq!(read, columns);
        let mut requests = read.iter();
        let again: Vec<Window> = windows
            .iter()
            .zip(&records)
            .map(|(measured, record)| Window {
                requests: requests.by_ref().take(record.requests).collect(),
                ..measured.clone()
            })
            .collect();
        let figures = |windows: &[Window]| {
            let summary = Summary::of(windows, 7.0, 1).expect("some completed");
            serde_json::to_value(summary).expect("JSON")
        };
        assert_eq!(figures(&again), figures(&windows));
    }

    #[test]
    fn columns_cut_short_yield_what_is_whole() {
        let requests = [completed(0, 1, 2, 1), completed(0, 1, 2, 1)];
        let mut columns: RequestColumns = requests.iter().collect();
        columns.status.pop();
        assert_eq!(columns.iter().count(), 1);
    }
}
