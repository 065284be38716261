//! The result file of `vllm bench serve --save-result --save-detailed`, so that what reads theirs reads
//! ours: `vllm/benchmarks/serve.py` of vLLM 0.32 has the keys. Times in arrays are seconds, figures
//! whose names end in `_ms` milliseconds.
//!
//! Two figures are taken as servemark defines them: `output_throughput` counts the tokens that were
//! received within the measured windows, also those of requests that ended later; and `itls` has a gap of
//! zero for each token that came in one event with another. What was not measured is null, which vLLM
//! writes as 0.

use std::io;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::exporter::{DocumentSplit, Exporter};
use crate::client::{CompletedRequest, Outcome, RequestRecord};
use crate::level::Level;
use crate::load::Window;
use crate::metrics::{self, SortedValues, latency};
use crate::results::RunRecord;

const S_PER_NS: f64 = 1e-9;
const MS_PER_NS: f64 = 1e-6;

/// The result file of `vllm bench serve`.
pub(super) const EXPORTER: Exporter = Exporter {
    id: "vllm",
    about: "Results of `vllm bench serve`",
    form: DocumentSplit::PerPoint(write),
};

fn write(record: &RunRecord, to: &mut dyn io::Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, &BenchResult(record))?;
    to.write_all(b"\n")
}

/// A record in the form of vLLM's result. Each array is one pass over the requests, which takes no memory.
struct BenchResult<'r>(&'r RunRecord);

impl Serialize for BenchResult<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let windows = self.0.measured_windows();
        let mut result = serializer.serialize_map(None)?;
        for (key, value) in about(self.0).iter().chain(&totals(self.0, &windows)) {
            result.serialize_entry(key, value)?;
        }
        each_request(&windows, &mut result)?;
        for (key, value) in &latencies(&windows) {
            result.serialize_entry(key, value)?;
        }
        result.end()
    }
}

/// A value of each request, as an array.
struct RequestValues<'w, T>(&'w [Window], fn(RequestRecord) -> T);

impl<T: Serialize> Serialize for RequestValues<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let requests = self.0.iter().flat_map(|window| window.requests.iter());
        serializer.collect_seq(requests.map(self.1))
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// What was measured, how and with what.
fn about(record: &RunRecord) -> Map<String, Value> {
    let chat = record.api.as_deref() != Some("completions");
    let backend = if chat { "openai-chat" } else { "openai" };
    let point = format!("{}/{}", record.bench, record.prompt);
    let mut label = match &record.simulated {
        Some(preset) => format!("{point} (simulated: {preset})"),
        None => point,
    };
    if record.insecure() {
        label.push_str(" (INSECURE: certificates not verified)");
    }
    if let Some(why) = &record.partial {
        label.push_str(&format!(" (partial: {why})"));
    }
    object(json!({
        "date": record.ended().format("%Y%m%d-%H%M%S").to_string(),
        "endpoint_type": backend,
        "backend": backend,
        "label": label,
        "model_id": record.model(),
        "tokenizer_id": record.tokenizer,
        "num_prompts": record.requests.len(),
        "request_rate": request_rate(record),
        "burstiness": burstiness(record),
        "max_concurrency": record.level.concurrency(),
        // Keys of ours, as vLLM's --metadata adds some.
        "servemark_version": record.servemark_version,
        "simulated": record.simulated,
        "insecure": record.insecure(),
        "partial": record.partial,
    }))
}

/// A closed loop has no rate of its own: vLLM writes `inf` for it.
fn request_rate(record: &RunRecord) -> Value {
    match record.level {
        Level::Rate(rate) if !rate.is_max() => rate.per_second().into(),
        Level::Rate(_) | Level::Concurrency(_) => "inf".into(),
    }
}

/// The shape of the gamma distribution of gaps; 1 where they are not from one.
fn burstiness(record: &RunRecord) -> f64 {
    record.config["ARRIVALS"]["gamma"].as_f64().unwrap_or(1.0)
}

fn totals(record: &RunRecord, windows: &[Window]) -> Map<String, Value> {
    let summary = record.summary.as_ref();
    let wall_ns = Window::total_wall_ns(windows) as f64;
    let failed = record.failures.iter().map(|failure| failure.count);
    let failed = failed.fold(0, usize::saturating_add);
    let output_tok_s = summary.and_then(|s| s.output_tok_s);
    object(json!({
        "duration": wall_ns * S_PER_NS,
        "completed": summary.map_or(0, |s| s.completed),
        "failed": failed,
        "total_input_tokens": summary.map_or(0, |s| s.tokens.input),
        "total_output_tokens": summary.map_or(0, |s| s.tokens.output),
        "request_throughput": summary.map_or(0.0, |s| s.rps),
        "request_goodput": summary.and_then(|s| s.goodput),
        "output_throughput": output_tok_s,
        "total_token_throughput": output_tok_s.zip(summary).map(|(out, s)| out + s.input_tok_s),
        "max_output_tokens_per_s": metrics::most_tokens_in_a_second(windows),
        "max_concurrent_requests": metrics::most_in_flight(windows),
        "rtfx": 0.0,
    }))
}

/// Writes the arrays that have an entry for each request, zeros for failed ones.
fn each_request<M: SerializeMap>(windows: &[Window], result: &mut M) -> Result<(), M::Error> {
    fn column<M: SerializeMap, T: Serialize>(
        result: &mut M,
        windows: &[Window],
        name: &str,
        value: fn(RequestRecord) -> T,
    ) -> Result<(), M::Error> {
        result.serialize_entry(name, &RequestValues(windows, value))
    }
    column(result, windows, "input_lens", |r| {
        r.completed().map_or(0, |r| r.outcome.input_tokens().0)
    })?;
    column(result, windows, "output_lens", |r| {
        let counted = r.completed().and_then(|r| r.outcome.output_tokens());
        counted.map_or(0, |(tokens, _)| tokens)
    })?;
    column(result, windows, "ttfts", |r| match r.completed() {
        Some(request) => latency::ttft_ns(&request).map(seconds),
        None => Some(0.0),
    })?;
    column(result, windows, "itls", |r| -> Vec<f64> {
        let gaps = |r: CompletedRequest| latency::itl_ns(&r.outcome).map(seconds).collect();
        r.completed().map_or_else(Vec::new, gaps)
    })?;
    column(result, windows, "latencies", |r| {
        r.completed().map_or(0.0, |r| seconds(latency::e2el_ns(&r)))
    })?;
    column(result, windows, "start_times", |r| {
        seconds(r.start_ns as f64)
    })?;
    column(result, windows, "queue_times", |r| seconds(queued_ns(&r)))?;
    // Texts are not kept.
    column(result, windows, "generated_texts", |_| "")?;
    column(result, windows, "errors", |r| match r.outcome {
        Outcome::Completed(_) => String::new(),
        Outcome::Failed(failure) => failure.cause.to_string(),
        Outcome::Blocked(block) => format!("safety check blocked the {}", block.stage),
    })
}

fn seconds(ns: f64) -> f64 {
    ns * S_PER_NS
}

/// How long a request waited in the client after it could have been sent (ns).
fn queued_ns<O>(request: &RequestRecord<O>) -> f64 {
    request.start_ns.saturating_sub(request.intended_ns) as f64
}

/// `mean_…_ms`, `median_…_ms`, `std_…_ms` and percentiles of each latency.
fn latencies(windows: &[Window]) -> Map<String, Value> {
    let each = |value: fn(&CompletedRequest) -> Option<f64>| -> SortedValues {
        let completed = windows.iter().flat_map(Window::completed);
        let values = completed.filter_map(|request| value(&request));
        values.map(|ns| ns * MS_PER_NS).collect()
    };
    let mut figures = Map::new();
    for (name, values_ms) in [
        ("ttft", each(latency::ttft_ns)),
        ("tpot", each(latency::tpot_ns)),
        ("itl", metrics::sorted_itl_ms(windows)),
        ("e2el", each(|request| Some(latency::e2el_ns(request)))),
        (
            "client_queue_time",
            each(|request| Some(queued_ns(request))),
        ),
    ] {
        let distribution = metrics::Distribution::of_sorted(&values_ms);
        let std = values_ms.population_std();
        for (figure, value) in [
            ("mean", distribution.map(|d| d.mean)),
            ("median", distribution.map(|d| d.p50)),
            ("std", std),
            ("p50", distribution.map(|d| d.p50)),
            ("p90", distribution.map(|d| d.p90)),
            ("p95", distribution.and_then(|d| d.p95)),
            ("p99", distribution.map(|d| d.p99)),
            ("p99.9", distribution.and_then(|d| d.p99_9)),
        ] {
            figures.insert(format!("{figure}_{name}_ms"), json!(value));
        }
    }
    figures
}
