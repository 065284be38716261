use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use super::packed::{IntegerAt, Integers, Names, OptionalIntegers, OptionalNames, Rows};
use crate::client::{
    Block, BlockStage, Completion, Failure, FailureCause, Outcome, RequestRecord, Timestamps,
    TokenSource,
};

/// One array per field; position i is request i. `null` where a request has no such value.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "RequestColumns")]
pub(super) struct Columns {
    /// Position in the run.
    index: Integers,
    #[schemars(with = "Vec<Option<usize>>")]
    endpoint: OptionalIntegers,
    intended_ns: Integers,
    /// Whether an open loop scheduled them: TTFT and E2EL then count from `intended_ns`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    scheduled: bool,
    start_ns: Integers,
    sent_ns: Integers,
    end_ns: Integers,
    safety_ns: Integers,
    /// `ok`, or the cause of failure, or `blocked`.
    status: Names,
    last_byte_ns: OptionalIntegers,
    #[serde(rename = "input_tokens")]
    #[schemars(with = "Vec<Option<u32>>")]
    usage_input: OptionalIntegers,
    output_tokens: Vec<Option<u32>>,
    /// Who counted the output tokens.
    output_source: Vec<Option<TokenSource>>,
    finish_reason: OptionalNames,
    /// Content events: the first as microseconds after `sent_ns`, each other after the one before.
    content_us: Rows,
    /// The output tokens that a request asked for; absent where all asked for the same number, `MAX_NEW_TOKENS`.
    #[serde(default, skip_serializing_if = "OptionalIntegers::is_empty")]
    #[schemars(with = "Vec<Option<u32>>")]
    requested_tokens: OptionalIntegers,
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
    /// The harness's own counts of the prompts; empty if the columns were read from a record, which has
    /// a single count of each prompt.
    #[serde(skip)]
    prompt_tokens: Integers,
    /// Texts by the request's position: those that are not counted yet, and a few others.
    #[serde(skip)]
    texts: BTreeMap<usize, Box<str>>,
    /// Number of kept texts that the server has counted.
    #[serde(skip)]
    counted_texts: usize,
    /// The first message of each cause.
    #[serde(skip)]
    messages: BTreeMap<FailureCause, String>,
}

pub(super) const OK: &str = "ok";
pub(super) const BLOCKED: &str = "blocked";

/// Most kept texts that the server has counted.
const MOST_COUNTED_TEXTS: usize = 64;

/// A request's position in [`Columns`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct At {
    pub position: usize,
    index: IntegerAt,
    endpoint: IntegerAt,
    intended_ns: IntegerAt,
    start_ns: IntegerAt,
    sent_ns: IntegerAt,
    end_ns: IntegerAt,
    safety_ns: IntegerAt,
    last_byte_ns: IntegerAt,
    usage_input: IntegerAt,
    prompt_tokens: IntegerAt,
    requested_tokens: IntegerAt,
    content_us: usize,
}

/// An answer that the server has not counted.
pub(crate) struct Uncounted<'c> {
    pub text: &'c str,
    /// The number of its content events.
    pub events: usize,
}

impl Columns {
    pub fn push(&mut self, record: RequestRecord) {
        let position = self.status.len();
        self.index.push(record.index);
        let endpoint = (record.endpoint != usize::MAX).then_some(record.endpoint as u64);
        self.endpoint.push(endpoint);
        self.intended_ns.push(record.intended_ns);
        self.scheduled |= record.is_scheduled;
        self.start_ns.push(record.start_ns);
        self.sent_ns.push(record.sent_ns);
        self.end_ns.push(record.end_ns);
        self.safety_ns.push(record.safety_ns);
        let completion = match record.outcome {
            Outcome::Completed(completion) => {
                self.status.push(OK);
                Some(completion)
            }
            Outcome::Failed(Failure { cause, message }) => {
                self.status.push(&cause.to_string());
                self.messages.entry(cause).or_insert(message);
                None
            }
            Outcome::Blocked(block) => {
                self.status.push(BLOCKED);
                self.blocks.insert(position, block);
                None
            }
        };
        self.push_completion(record.sent_ns, completion.as_ref());
        if let Some(completion) = completion {
            self.insert_rare(position, record.sent_ns, completion);
        }
    }

    fn push_completion(&mut self, sent_ns: u64, completion: Option<&Completion>) {
        let output = completion.and_then(Completion::output_tokens);
        let usage_input = completion.and_then(|c| c.usage_input);
        self.last_byte_ns.push(completion.map(|c| c.last_byte_ns));
        self.usage_input.push(usage_input.map(u64::from));
        self.prompt_tokens
            .push(completion.map_or(0, |c| c.prompt_tokens.into()));
        self.output_tokens.push(output.map(|(tokens, _)| tokens));
        self.output_source.push(output.map(|(_, source)| source));
        self.finish_reason
            .push(completion.and_then(|c| c.finish_reason.as_deref()));
        let requested = completion.and_then(|c| c.requested_output);
        self.requested_tokens.push(requested.map(u64::from));
        let deltas = completion.map(|c| deltas_us(sent_ns, c));
        self.content_us.push(deltas.into_iter().flatten());
    }

    /// Keeps the members that few completions have.
    fn insert_rare(&mut self, position: usize, sent_ns: u64, completion: Completion) {
        if let Some(at_ns) = completion.first_answer_ns {
            let after_us = micros_after(sent_ns, at_ns);
            self.first_answer_us.insert(position, after_us);
        }
        match completion.refused_count {
            None => {}
            Some(0) => drop(self.counts_zero.insert(position)),
            Some(count) => drop(self.impossible_counts.insert(position, count)),
        }
        let is_counted = completion.output_tokens().is_some();
        if let Some(text) = completion.text
            && (!is_counted || self.counted_texts < MOST_COUNTED_TEXTS)
        {
            self.counted_texts += usize::from(is_counted);
            self.texts.insert(position, text.into());
        }
    }

    /// The number of requests; in a truncated record, the length of the shortest column.
    pub fn len(&self) -> usize {
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
            self.usage_input.len(),
            self.output_tokens.len(),
            self.output_source.len(),
            self.finish_reason.len(),
            self.content_us.len(),
        ];
        lengths.into_iter().min().unwrap_or(0)
    }

    /// The number of requests at these positions that succeeded.
    pub fn succeeded(&self, positions: std::ops::Range<usize>) -> usize {
        self.status.count(OK, positions)
    }

    /// The request at `at`, which advances; it must exist.
    pub fn next(&self, at: &mut At) -> RequestRecord {
        let position = at.position;
        at.position += 1;
        let endpoint = self.endpoint.next(&mut at.endpoint);
        let sent_ns = self.sent_ns.next(&mut at.sent_ns);
        let end_ns = self.end_ns.next(&mut at.end_ns);
        let last_byte_ns = self.last_byte_ns.next(&mut at.last_byte_ns);
        let usage_input = self.usage_input.next(&mut at.usage_input).map(saturated);
        let prompt_tokens = match self.prompt_tokens.len() {
            0 => usage_input.unwrap_or(0),
            _ => saturated(self.prompt_tokens.next(&mut at.prompt_tokens)),
        };
        let requested = match self.requested_tokens.is_empty() {
            true => None,
            false => self.requested_tokens.next(&mut at.requested_tokens),
        };
        let content_us = self.content_us.next(&mut at.content_us);
        let outcome = match self.status.get(position) {
            OK => Outcome::Completed(Completion {
                last_byte_ns: last_byte_ns.unwrap_or(end_ns),
                content_ns: arrivals(sent_ns, content_us),
                usage_input,
                prompt_tokens,
                requested_output: requested.map(saturated),
                ..self.by_position(position, sent_ns)
            }),
            BLOCKED => Outcome::Blocked(self.block(position)),
            cause => Outcome::Failed(self.failure(FailureCause::named(cause))),
        };
        RequestRecord {
            index: self.index.next(&mut at.index),
            endpoint: endpoint.map_or(usize::MAX, |endpoint| endpoint as usize),
            intended_ns: self.intended_ns.next(&mut at.intended_ns),
            is_scheduled: self.scheduled,
            start_ns: self.start_ns.next(&mut at.start_ns),
            sent_ns,
            end_ns,
            safety_ns: self.safety_ns.next(&mut at.safety_ns),
            outcome,
        }
    }

    /// The members of a completion that are kept by position.
    fn by_position(&self, position: usize, sent_ns: u64) -> Completion {
        let counted_by = |source| {
            let tokens = self.output_tokens[position];
            tokens.filter(|_| self.output_source[position] == Some(source))
        };
        Completion {
            last_byte_ns: 0,
            content_ns: Timestamps::default(),
            first_answer_ns: self
                .first_answer_us
                .get(&position)
                .map(|us| sent_ns.saturating_add(us.saturating_mul(1_000))),
            usage_input: None,
            usage_output: counted_by(TokenSource::Server),
            refused_count: match self.counts_zero.contains(&position) {
                true => Some(0),
                false => self.impossible_counts.get(&position).copied(),
            },
            prompt_tokens: 0,
            requested_output: None,
            text: self.texts.get(&position).map(|text| text.to_string()),
            counted_output: counted_by(TokenSource::Tokenizer),
            finish_reason: self.finish_reason.get(position).map(str::to_owned),
        }
    }

    fn block(&self, position: usize) -> Block {
        self.blocks.get(&position).cloned().unwrap_or(Block {
            // The record is older than blocks.
            stage: BlockStage::Prompt,
            category: String::new(),
            severity: 0,
        })
    }

    fn failure(&self, cause: FailureCause) -> Failure {
        let message = self.messages.get(&cause).cloned();
        Failure::new(cause, message.unwrap_or_default())
    }

    /// Counts the tokens of the answers that the server has not counted.
    pub fn count_missing(&mut self, count: impl FnOnce(&[Uncounted<'_>]) -> Vec<Option<u32>>) {
        let is_uncounted =
            |position: &usize| !matches!(self.output_source[*position], Some(TokenSource::Server));
        let positions: Vec<usize> = self.texts.keys().copied().filter(is_uncounted).collect();
        if positions.is_empty() {
            return;
        }
        let events = self.event_counts(&positions);
        let uncounted = positions.iter().zip(events);
        let uncounted: Vec<Uncounted<'_>> = uncounted
            .map(|(position, events)| Uncounted {
                text: &self.texts[position],
                events,
            })
            .collect();
        let counts = count(&uncounted);
        for (position, tokens) in positions.into_iter().zip(counts) {
            self.output_tokens[position] = tokens;
            self.output_source[position] = tokens.map(|_| TokenSource::Tokenizer);
        }
    }

    /// Sets the message of each cause of failure.
    pub fn set_messages(&mut self, messages: BTreeMap<FailureCause, String>) {
        self.messages = messages;
    }

    /// Drops the texts of answers whose tokens the harness has counted.
    pub fn drop_counted_texts(&mut self) {
        let sources = &self.output_source;
        self.texts
            .retain(|position, _| sources[*position] == Some(TokenSource::Server));
    }

    /// The numbers of content events of the requests at these positions, in order.
    fn event_counts(&self, positions: &[usize]) -> Vec<usize> {
        let (mut at, mut wanted) = (0, positions.iter().peekable());
        let rows = (0..self.content_us.len()).map(|at_row| (at_row, self.content_us.next(&mut at)));
        let counts = rows.filter_map(|(position, row)| {
            wanted.next_if_eq(&&position)?;
            Some(row.count())
        });
        counts.collect()
    }
}

/// A number of tokens, which may be invalid in a damaged record.
fn saturated(tokens: u64) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

fn arrivals(sent_ns: u64, deltas_us: impl Iterator<Item = u64>) -> Timestamps {
    let mut at_ns = sent_ns;
    deltas_us
        .map(|us| {
            at_ns = at_ns.saturating_add(us.saturating_mul(1_000));
            at_ns
        })
        .collect()
}

/// The time between two times, rounded to microseconds.
pub(super) fn micros_after(sent_ns: u64, at_ns: u64) -> u64 {
    let after_ns = at_ns.saturating_sub(sent_ns);
    after_ns / 1_000 + u64::from(after_ns % 1_000 >= 500)
}

/// Differences of rounded times, so that rounding does not add up along a stream.
pub(super) fn deltas_us(sent_ns: u64, completion: &Completion) -> impl Iterator<Item = u64> + '_ {
    let mut last = 0;
    completion.content_ns.iter().map(move |at| {
        let us = micros_after(sent_ns, at);
        us - std::mem::replace(&mut last, us)
    })
}
