use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Contradiction, Distribution, LittlesLaw, Outage, Saturation, SortedValues, contradictions,
    goodput, latency,
};
use crate::client::{
    CompletedRequest, ExpectedAnswer, FailureCause, Outcome, RequestRecord, TokenSource,
};
use crate::config::Slo;
use crate::load::Window;

const MS_PER_NS: f64 = 1e-6;

/// The figures of one benchmark point, over all its measured windows.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Wall time of the measured windows (s).
    pub duration_s: f64,
    /// Requests that succeeded.
    pub completed: usize,
    /// Requests that failed, by cause, most frequent first.
    pub failures: Vec<FailureCount>,
    /// Requests that the safety check stopped, by what it named.
    pub blocked: Vec<Blocked>,
    /// Completed requests ÷ wall time (req/s).
    pub rps: f64,
    /// Requests ÷ wall time that met every objective of `SLO` (req/s); `None` where none is set.
    #[serde(default)]
    pub goodput: Option<f64>,
    /// Output tokens received in the windows ÷ wall time (tok/s).
    pub output_tok_s: Option<f64>,
    /// Input tokens of completed requests ÷ wall time (tok/s).
    pub input_tok_s: f64,
    /// Mean over requests of output tokens ÷ E2EL (tok/s).
    pub tok_s_per_request: Option<f64>,
    /// Requests whose own tok/s is under the threshold.
    pub below_threshold: usize,
    /// E2EL (ms).
    pub e2el_ms: Option<Distribution>,
    /// TTFT (ms).
    pub ttft_ms: Option<Distribution>,
    /// TTFO (ms): time to the first token of the answer itself, of the requests whose reasoning came before it.
    #[serde(default)]
    pub ttfo_ms: Option<Distribution>,
    /// TPOT (ms/token).
    pub tpot_ms: Option<Distribution>,
    /// ITL (ms).
    pub itl_ms: Option<Distribution>,
    /// Time in safety checks per request (ms); `None` without a check.
    pub safety_ms: Option<Distribution>,
    /// Token totals and who counted them.
    pub tokens: TokenCounts,
    /// What the answers contradict.
    #[serde(default)]
    pub contradictions: Vec<Contradiction>,
    /// When an endpoint served nothing although it was asked.
    #[serde(default)]
    pub outages: Vec<Outage>,
    /// Set where the arrivals of an open loop outran the completions; its latencies and goodput are then null, as they
    /// depend on how long the load ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saturation: Option<Saturation>,
    /// Set where the number in flight contradicts the rate and the latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub littles_law: Option<LittlesLaw>,
    /// What each endpoint served, in the order of the endpoint list.
    pub endpoints: Vec<EndpointShare>,
}

/// Failed requests of one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureCount {
    /// The cause, as shown.
    pub cause: String,
    /// How many.
    pub count: usize,
    /// The message of the first of them.
    pub first_message: String,
}

/// Requests stopped by the safety check in one category and stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blocked {
    /// `prompt` or `answer`.
    pub stage: String,
    /// The category that the check named.
    pub category: String,
    /// Highest severity seen.
    pub severity: u8,
    /// How many.
    pub count: usize,
    /// Index of the first such request in the run.
    pub first_index: u64,
}

/// Token totals of the completed requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenCounts {
    /// Input tokens.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Requests whose output was counted by the server.
    pub by_server: usize,
    /// Requests whose output was counted by the harness's tokenizer.
    pub by_tokenizer: usize,
    /// Requests whose output nobody could count; they are missing from `output`.
    pub uncounted: usize,
    /// Tokens that came in one content event together with another.
    pub coalesced: u64,
}

impl TokenCounts {
    /// Who counted the output tokens, for a table.
    pub fn source(&self) -> &'static str {
        match (self.by_server > 0, self.by_tokenizer > 0, self.uncounted) {
            (true, false, 0) => "server usage",
            (false, true, 0) => "tokenizer",
            (false, false, 0) => "none",
            _ => "mixed",
        }
    }
}

/// One endpoint's part of a point.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct EndpointShare {
    /// Requests that ended there, successful or not.
    pub requests: usize,
    /// Those that succeeded.
    pub completed: usize,
    /// Mean E2EL of those (ms).
    pub mean_e2el_ms: Option<f64>,
}

impl Summary {
    /// Of measured windows; `None` where not one request succeeded.
    ///
    /// `threshold_tps` is `THRESHOLD_TPS` (tok/s), `endpoints` the length of the endpoint list. Goodput is
    /// left to [`Summary::with_goodput`], contradictions to [`Summary::with_contradictions`].
    #[doc(hidden)]
    pub fn of(windows: &[Window], threshold_tps: f64, endpoints: usize) -> Option<Summary> {
        let answers = || windows.iter().flat_map(Window::completed);
        let completed = windows.iter().map(Window::succeeded).sum();
        if completed == 0 {
            return None;
        }
        let duration_s = Window::total_wall_ns(windows) as f64 / 1e9;
        let each = |figure: fn(&CompletedRequest) -> Option<f64>| -> SortedValues {
            answers().filter_map(|answer| figure(&answer)).collect()
        };
        let each_ms = |figure: fn(&CompletedRequest) -> Option<f64>| {
            let values = answers().filter_map(|answer| figure(&answer));
            Distribution::of(values, MS_PER_NS)
        };
        let own_rates = each(latency::tokens_per_second);
        let tokens = count_tokens(answers());
        let requests = || windows.iter().flat_map(|w| w.requests.iter());
        Some(Summary {
            duration_s,
            completed,
            failures: count_failures(requests()),
            blocked: count_blocked(requests()),
            rps: completed as f64 / duration_s,
            goodput: None,
            output_tok_s: (tokens.by_server + tokens.by_tokenizer > 0).then(|| {
                let received: f64 = windows.iter().filter_map(Window::output_tokens).sum();
                received / duration_s
            }),
            input_tok_s: tokens.input as f64 / duration_s,
            tok_s_per_request: own_rates.mean(),
            below_threshold: below(&own_rates, threshold_tps),
            e2el_ms: each_ms(|answer| Some(latency::e2el_ns(answer))),
            ttft_ms: each_ms(latency::ttft_ns),
            ttfo_ms: each_ms(latency::ttfo_ns),
            tpot_ms: each_ms(latency::tpot_ns),
            itl_ms: Distribution::of_sorted(&sorted_itl_ms(windows)),
            safety_ms: each_ms(|answer| (answer.safety_ns > 0).then_some(answer.safety_ns as f64)),
            tokens,
            contradictions: Vec::new(),
            outages: Vec::new(),
            saturation: None,
            littles_law: None,
            endpoints: shares(requests(), endpoints),
        })
    }

    /// With the goodput of the same windows.
    pub(crate) fn with_goodput(mut self, windows: &[Window], slo: &Slo) -> Summary {
        self.goodput = goodput(windows, slo);
        self
    }

    /// With what the answers in the same windows contradict.
    pub(crate) fn with_contradictions(
        mut self,
        windows: &[Window],
        expected: &ExpectedAnswer,
    ) -> Summary {
        let answers = windows.iter().flat_map(Window::completed);
        self.contradictions = contradictions(answers.map(|answer| answer.outcome), expected);
        self
    }

    /// With whether the load of `runs` was in a steady state; call it last. `concurrency` is what a closed loop keeps
    /// in flight all the time, `None` for another load.
    pub(crate) fn with_steadiness(
        mut self,
        runs: &[&[Window]],
        concurrency: Option<NonZeroUsize>,
    ) -> Summary {
        let saturations = runs.iter().filter_map(|run| Saturation::of(run));
        self.saturation = saturations.max_by(|a, b| a.growth.total_cmp(&b.growth));
        self.littles_law = runs
            .iter()
            .find_map(|run| LittlesLaw::contradiction(run, concurrency));
        if self.saturation.is_some() {
            self.goodput = None;
            self.tok_s_per_request = None;
            [self.e2el_ms, self.ttft_ms, self.ttfo_ms] = [None; 3];
        }
        self
    }

    /// With the times in which an endpoint served nothing.
    pub(crate) fn with_outages(mut self, outages: Vec<Outage>) -> Summary {
        self.outages = outages;
        self
    }

    /// Failed requests of all causes.
    pub fn failed(&self) -> usize {
        let counts = self.failures.iter().map(|f| f.count);
        // A damaged record may state any.
        counts.fold(0, usize::saturating_add)
    }
}

/// ITL (ms) of all answers in these windows, each gap as one value.
pub fn sorted_itl_ms<'w>(windows: impl IntoIterator<Item = &'w Window>) -> SortedValues {
    let answers = windows.into_iter().flat_map(Window::completed);
    let gaps = answers.flat_map(|answer| Vec::from_iter(latency::itl_ns(&answer.outcome)));
    gaps.map(|gap| gap * MS_PER_NS).collect()
}

/// How many of `values` are below `threshold`.
fn below(values: &SortedValues, threshold: f64) -> usize {
    let counts = values.counts().take_while(|(value, _)| *value < threshold);
    counts.map(|(_, count)| count).sum::<u64>() as usize
}

fn count_tokens(answers: impl Iterator<Item = CompletedRequest>) -> TokenCounts {
    let mut counts = TokenCounts::default();
    for CompletedRequest {
        outcome: completion,
        ..
    } in answers
    {
        counts.input += u64::from(completion.input_tokens().0);
        counts.coalesced += u64::from(latency::coalesced_tokens(&completion));
        match completion.output_tokens() {
            Some((tokens, source)) => {
                counts.output += u64::from(tokens);
                match source {
                    TokenSource::Server => counts.by_server += 1,
                    TokenSource::Tokenizer => counts.by_tokenizer += 1,
                }
            }
            None => counts.uncounted += 1,
        }
    }
    counts
}

/// Counts failures by cause, most frequent first.
pub fn count_failures<R: Borrow<RequestRecord>>(
    requests: impl Iterator<Item = R>,
) -> Vec<FailureCount> {
    let mut by_cause: BTreeMap<FailureCause, (usize, String)> = BTreeMap::new();
    for record in requests {
        if let Outcome::Failed(failure) = &record.borrow().outcome {
            let first = || (0, failure.message.clone());
            by_cause.entry(failure.cause).or_insert_with(first).0 += 1;
        }
    }
    let mut counts: Vec<_> = by_cause
        .into_iter()
        .map(|(cause, (count, first_message))| FailureCount {
            cause: cause.to_string(),
            count,
            first_message,
        })
        .collect();
    counts.sort_by_key(|f| std::cmp::Reverse(f.count));
    counts
}

/// Counts what the safety check stopped.
pub fn count_blocked<R: Borrow<RequestRecord>>(requests: impl Iterator<Item = R>) -> Vec<Blocked> {
    let mut blocked: Vec<Blocked> = Vec::new();
    for record in requests {
        let record = record.borrow();
        let Outcome::Blocked(block) = &record.outcome else {
            continue;
        };
        let stage = block.stage.to_string();
        match blocked
            .iter_mut()
            .find(|b| b.stage == stage && b.category == block.category)
        {
            Some(known) => {
                known.count += 1;
                known.severity = known.severity.max(block.severity);
            }
            None => blocked.push(Blocked {
                stage,
                category: block.category.clone(),
                severity: block.severity,
                count: 1,
                first_index: record.index,
            }),
        }
    }
    blocked
}

fn shares(requests: impl Iterator<Item = RequestRecord>, endpoints: usize) -> Vec<EndpointShare> {
    let mut shares = vec![EndpointShare::default(); endpoints];
    let mut e2el_ms = vec![0.0; endpoints];
    for record in requests {
        // A prompt that was blocked or could not be made reached no endpoint.
        let Some(share) = shares.get_mut(record.endpoint) else {
            continue;
        };
        share.requests += 1;
        if matches!(record.outcome, Outcome::Completed(_)) {
            share.completed += 1;
            e2el_ms[record.endpoint] += latency::e2el_ns(&record) * MS_PER_NS;
        }
    }
    for (share, total) in shares.iter_mut().zip(e2el_ms) {
        share.mean_e2el_ms = (share.completed > 0).then(|| total / share.completed as f64);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Block, BlockStage, Failure};
    use crate::load::window_tests::{completed, window};

    fn ended(outcome: Outcome, endpoint: usize) -> RequestRecord {
        RequestRecord {
            outcome,
            endpoint,
            ..completed(0, 1, 2, 1)
        }
    }

    fn failed(cause: FailureCause, message: &str) -> RequestRecord {
        let message = message.to_owned();
        ended(Outcome::Failed(Failure { cause, message }), 1)
    }

    #[test]
    fn failed_and_blocked_requests_are_counted_but_enter_no_figure() {
        let block = Block {
            stage: BlockStage::Prompt,
            category: "Violence".into(),
            severity: 4,
        };
        let windows = [window(
            vec![
                completed(0, 200, 1_000, 5),
                failed(FailureCause::Http(503), "busy"),
                failed(FailureCause::Connect, "refused"),
                failed(FailureCause::Http(503), "still busy"),
                ended(Outcome::Blocked(block), usize::MAX),
            ],
            0,
            0,
        )];
        let summary = Summary::of(&windows, 7.0, 2).unwrap();
        assert_eq!((summary.completed, summary.failed()), (1, 3));
        assert_eq!(summary.failures[0].cause, "HTTP 503");
        assert_eq!(summary.failures[0].first_message, "busy");
        assert_eq!(summary.blocked[0].category, "Violence");
        assert_eq!(summary.rps, 1e6);
        assert_eq!(summary.output_tok_s, Some(5e6));
        assert_eq!(summary.input_tok_s, 10e6);
        assert_eq!(summary.e2el_ms.unwrap().p99, 0.001);
        assert_eq!(summary.endpoints[1].requests, 3);
        assert_eq!(summary.endpoints[0].completed, 1);
        assert_eq!(summary.tokens.source(), "server usage");
    }

    #[test]
    fn requests_slower_than_the_threshold_are_counted() {
        let second = 1_000_000_000;
        let windows = [window(
            vec![
                completed(0, 1, second, 6),
                completed(0, 1, second, 8),
                completed(0, 1, second, 7),
            ],
            0,
            0,
        )];
        let summary = Summary::of(&windows, 7.0, 1).unwrap();
        assert_eq!(summary.below_threshold, 1, "6 tok/s alone is under 7");
        assert_eq!(summary.tok_s_per_request, Some(7.0));
    }

    #[test]
    fn nothing_completed_gives_no_summary() {
        let windows = [window(vec![failed(FailureCause::Timeout, "")], 0, 0)];
        assert!(Summary::of(&windows, 7.0, 1).is_none());
    }
}
