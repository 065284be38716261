//! What a server counts itself, from its Prometheus page `/metrics`.
//!
//! Names are those of vLLM, old and new. Every figure is summed over the label sets of the page
//! (several engines or models behind one address), and is `None` where the page does not give it.

use std::time::Duration;

use prometheus_parse::{Sample, Scrape, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::http::Http;
use super::{EndpointFailure, failure::excerpt};
use crate::config::EndpointUrl;

/// What a server counts since it started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerCounters {
    /// Prompt tokens processed.
    pub prompt_tokens_total: Option<f64>,
    /// Tokens generated.
    pub generation_tokens_total: Option<f64>,
    /// Requests that ended by themselves (finished reason neither `abort` nor `error`).
    pub request_success_total: Option<f64>,
    /// Requests that ended otherwise: the client went away, or the server failed.
    pub request_aborted_total: Option<f64>,
    /// Prompt tokens looked up in the prefix cache.
    pub prefix_cache_queries: Option<f64>,
    /// Prompt tokens found there.
    pub prefix_cache_hits: Option<f64>,
    /// Requests thrown back from running to waiting for want of memory.
    pub preemptions: Option<f64>,
    /// Sum of the times to first token, in seconds.
    pub ttft_seconds_sum: Option<f64>,
    /// Requests in that sum.
    pub ttft_count: Option<f64>,
    /// Sum of the gaps between tokens, in seconds.
    pub itl_seconds_sum: Option<f64>,
    /// Gaps in that sum.
    pub itl_count: Option<f64>,
    /// Sum of the end-to-end latencies, in seconds.
    pub e2el_seconds_sum: Option<f64>,
    /// Requests in that sum.
    pub e2el_count: Option<f64>,
}

/// One reading of a server's `/metrics`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerMetrics {
    /// What it counts since it started.
    #[serde(flatten)]
    pub counters: ServerCounters,
    /// Requests being worked on at this moment.
    pub running: Option<f64>,
    /// Requests waiting at this moment.
    pub waiting: Option<f64>,
    /// Share of the KV cache in use at this moment, 0 to 1; the mean over engines.
    pub kv_cache_usage: Option<f64>,
    /// When the process started, in Unix seconds; the earliest where there are several.
    pub process_start: Option<f64>,
    /// Whether the page has figures of vLLM at all.
    pub has_vllm: bool,
}

/// The counters went back between two readings: the server started anew, and their difference
/// means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server restarted between the two readings of its /metrics")]
pub struct CountersReset;

/// A page that does not come within this time does not come.
const LIMIT: Duration = Duration::from_secs(3);
const VLLM: &str = "vllm:";
const PROCESS_START: &str = "process_start_time_seconds";

impl ServerMetrics {
    /// Reads `/metrics` of an endpoint. The page is parsed on a thread of its own: those of the runtime
    /// may carry a load.
    ///
    /// # Errors
    /// The server does not answer, or not with a Prometheus page.
    pub async fn scrape(http: &Http, url: &EndpointUrl) -> Result<ServerMetrics, EndpointFailure> {
        let body = http.get(url.at("/metrics"), LIMIT).await.outcome?;
        let parsed = tokio::task::spawn_blocking(move || ServerMetrics::from_body(&body));
        parsed.await.unwrap_or_else(|_| {
            Err(EndpointFailure::malformed(
                "its /metrics could not be parsed",
            ))
        })
    }

    pub(crate) fn from_body(body: &[u8]) -> Result<ServerMetrics, EndpointFailure> {
        let page = std::str::from_utf8(body)
            .map_err(|_| EndpointFailure::malformed("its /metrics is not UTF-8 text"))?;
        ServerMetrics::parse(page).ok_or_else(|| {
            EndpointFailure::malformed(format!(
                "its /metrics is no Prometheus page ({})",
                excerpt(body)
            ))
        })
    }

    /// Reads the text of a `/metrics` page. `None` if it holds not one sample.
    pub fn parse(page: &str) -> Option<ServerMetrics> {
        if !has_sample(page) {
            return None;
        }
        // The parser knows no colon in a name, and types are of no use here: so it gets the samples
        // alone, those of vLLM without their prefix.
        let lines = page.lines().filter_map(|line| {
            let line = line.trim_start();
            let ours = line.strip_prefix(VLLM);
            ours.or_else(|| line.starts_with(PROCESS_START).then_some(line))
        });
        let scrape = Scrape::parse(lines.map(|line| Ok(line.to_owned()))).ok()?;
        let page_has_vllm = page.lines().any(|line| line.trim_start().starts_with(VLLM));
        Some(ServerMetrics::of(&Samples(&scrape.samples), page_has_vllm))
    }

    fn of(samples: &Samples<'_>, has_vllm: bool) -> ServerMetrics {
        let engines = |name| samples.values(name, |_| true);
        let usage = ["kv_cache_usage_perc", "gpu_cache_usage_perc"]
            .into_iter()
            .map(engines)
            .find(|values| !values.is_empty())
            .map(|values| values.iter().sum::<f64>() / values.len() as f64);
        ServerMetrics {
            counters: ServerCounters::of(samples),
            running: samples.sum(&["num_requests_running"]),
            waiting: samples.sum(&["num_requests_waiting"]),
            kv_cache_usage: usage,
            process_start: engines(PROCESS_START).into_iter().reduce(f64::min),
            has_vllm,
        }
    }
}

impl ServerCounters {
    fn of(samples: &Samples<'_>) -> ServerCounters {
        const SUCCESS: &str = "request_success_total";
        let aborted = |sample: &Sample| {
            matches!(
                sample.labels.get("finished_reason"),
                Some("abort" | "error")
            )
        };
        let total = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum());
        ServerCounters {
            prompt_tokens_total: samples.sum(&["prompt_tokens_total"]),
            generation_tokens_total: samples.sum(&["generation_tokens_total"]),
            request_success_total: total(samples.values(SUCCESS, |sample| !aborted(sample))),
            request_aborted_total: total(samples.values(SUCCESS, aborted)),
            prefix_cache_queries: samples.sum(&[
                "prefix_cache_queries_total",
                "gpu_prefix_cache_queries_total",
            ]),
            prefix_cache_hits: samples
                .sum(&["prefix_cache_hits_total", "gpu_prefix_cache_hits_total"]),
            preemptions: samples.sum(&["num_preemptions_total"]),
            ttft_seconds_sum: samples.sum(&["time_to_first_token_seconds_sum"]),
            ttft_count: samples.sum(&["time_to_first_token_seconds_count"]),
            itl_seconds_sum: samples.sum(&[
                "inter_token_latency_seconds_sum",
                "time_per_output_token_seconds_sum",
            ]),
            itl_count: samples.sum(&[
                "inter_token_latency_seconds_count",
                "time_per_output_token_seconds_count",
            ]),
            e2el_seconds_sum: samples.sum(&["e2e_request_latency_seconds_sum"]),
            e2el_count: samples.sum(&["e2e_request_latency_seconds_count"]),
        }
    }

    /// Mean time to first token in ms; `None` where it is not known or nothing was counted.
    pub fn mean_ttft_ms(&self) -> Option<f64> {
        ratio(self.ttft_seconds_sum, self.ttft_count).map(|seconds| seconds * 1e3)
    }

    /// Mean gap between tokens in ms; `None` where it is not known or nothing was counted.
    pub fn mean_itl_ms(&self) -> Option<f64> {
        ratio(self.itl_seconds_sum, self.itl_count).map(|seconds| seconds * 1e3)
    }

    /// Mean end-to-end latency in ms; `None` where it is not known or nothing was counted.
    pub fn mean_e2el_ms(&self) -> Option<f64> {
        ratio(self.e2el_seconds_sum, self.e2el_count).map(|seconds| seconds * 1e3)
    }

    /// Share of the prompt tokens looked up that were found in the prefix cache, 0 to 1; `None`
    /// where it is not known or nothing was looked up.
    pub fn prefix_cache_hit_rate(&self) -> Option<f64> {
        ratio(self.prefix_cache_hits, self.prefix_cache_queries)
    }
}

/// What a server counted between two readings. A counter is `None` where either reading lacks it.
///
/// # Errors
/// [`CountersReset`] if the process started anew or a counter went back.
pub fn delta(
    before: &ServerMetrics,
    after: &ServerMetrics,
) -> Result<ServerCounters, CountersReset> {
    if let (Some(earlier), Some(later)) = (before.process_start, after.process_start)
        && earlier != later
    {
        return Err(CountersReset);
    }
    let (b, a) = (&before.counters, &after.counters);
    let minus = |before: Option<f64>, after: Option<f64>| match (before, after) {
        // A label set (a finished reason) appears with its first count: before, there were none.
        (None, Some(after)) if before_counted(b) => Ok(Some(after)),
        (Some(before), Some(after)) if after < before => Err(CountersReset),
        (Some(before), Some(after)) => Ok(Some(after - before)),
        _ => Ok(None),
    };
    Ok(ServerCounters {
        prompt_tokens_total: minus(b.prompt_tokens_total, a.prompt_tokens_total)?,
        generation_tokens_total: minus(b.generation_tokens_total, a.generation_tokens_total)?,
        request_success_total: minus(b.request_success_total, a.request_success_total)?,
        request_aborted_total: minus(b.request_aborted_total, a.request_aborted_total)?,
        prefix_cache_queries: minus(b.prefix_cache_queries, a.prefix_cache_queries)?,
        prefix_cache_hits: minus(b.prefix_cache_hits, a.prefix_cache_hits)?,
        preemptions: minus(b.preemptions, a.preemptions)?,
        ttft_seconds_sum: minus(b.ttft_seconds_sum, a.ttft_seconds_sum)?,
        ttft_count: minus(b.ttft_count, a.ttft_count)?,
        itl_seconds_sum: minus(b.itl_seconds_sum, a.itl_seconds_sum)?,
        itl_count: minus(b.itl_count, a.itl_count)?,
        e2el_seconds_sum: minus(b.e2el_seconds_sum, a.e2el_seconds_sum)?,
        e2el_count: minus(b.e2el_count, a.e2el_count)?,
    })
}

/// Whether a reading has counters, so that a missing one is still zero.
fn before_counted(counters: &ServerCounters) -> bool {
    counters.prompt_tokens_total.is_some() && counters.generation_tokens_total.is_some()
}

fn ratio(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    let whole = whole.filter(|whole| *whole > 0.0)?;
    Some(part? / whole)
}

/// Whether a line of the page is `name value` or `name{labels} value`.
fn has_sample(page: &str) -> bool {
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.trim().rsplit_once(char::is_whitespace))
        .any(|(name, value)| {
            let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
            name.starts_with(starts) && value.parse::<f64>().is_ok()
        })
}

struct Samples<'a>(&'a [Sample]);

impl Samples<'_> {
    /// The finite values of a name, one for each label set that `wanted` picks.
    fn values(&self, name: &str, wanted: impl Fn(&Sample) -> bool) -> Vec<f64> {
        self.0
            .iter()
            .filter(|sample| sample.metric == name && wanted(sample))
            .filter_map(|sample| match sample.value {
                Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => Some(value),
                Value::Histogram(_) | Value::Summary(_) => None,
            })
            .filter(|value| value.is_finite())
            .collect()
    }

    /// The sum over label sets of the first of the names that the page has.
    fn sum(&self, names: &[&str]) -> Option<f64> {
        names
            .iter()
            .map(|name| self.values(name, |_| true))
            .find(|values| !values.is_empty())
            .map(|values| values.iter().sum())
    }
}

#[cfg(test)]
mod tests;
