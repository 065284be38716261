//! The result file of `vllm bench serve --save-result --save-detailed`, so that what reads theirs reads
//! ours: `vllm/benchmarks/serve.py` of vLLM 0.32 has the keys. Times in arrays are seconds, figures
//! whose names end in `_ms` milliseconds.
//!
//! Two figures are taken as servemark defines them: `output_throughput` counts the tokens that were
//! received within the measured windows, also those of requests that ended later; and `itls` has a gap of
//! zero for each token that came in one event with another. What was not measured is null, which vLLM
//! writes as 0.

use serde_json::{Map, Value, json};

use super::{Document, ExportError, point_name};
use crate::client::{Completion, Outcome, RequestRecord};
use crate::load::Window;
use crate::metrics::{self, latency};
use crate::results::RunRecord;

const S_PER_NS: f64 = 1e-9;
const MS_PER_NS: f64 = 1e-6;

pub(super) fn document(record: &RunRecord) -> Result<Document, ExportError> {
    let windows = record.measured_windows();
    let mut result = about(record);
    result.extend(totals(record, &windows));
    result.extend(each_request(&windows));
    result.extend(latencies(&windows));
    Ok(Document {
        name: point_name(record),
        text: serde_json::to_string(&result)? + "\n",
    })
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
    object(json!({
        "date": record.ended().format("%Y%m%d-%H%M%S").to_string(),
        "endpoint_type": backend,
        "backend": backend,
        "label": label,
        "model_id": record.model(),
        "tokenizer_id": record.tokenizer,
        "num_prompts": record.requests.len(),
        // A closed loop has no rate of its own.
        "request_rate": "inf",
        "burstiness": 1.0,
        "max_concurrency": record.concurrency,
        // Keys of ours, as vLLM's --metadata adds some.
        "servemark_version": record.servemark_version,
        "simulated": record.simulated,
        "insecure": record.insecure(),
    }))
}

fn totals(record: &RunRecord, windows: &[Window]) -> Map<String, Value> {
    let summary = record.summary.as_ref();
    let wall_ns: u64 = windows.iter().map(Window::wall_ns).sum();
    let failed: usize = record.failures.iter().map(|failure| failure.count).sum();
    let output_tok_s = summary.and_then(|s| s.output_tok_s);
    object(json!({
        "duration": wall_ns as f64 * S_PER_NS,
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

/// One entry for each request, failed ones with zeros.
fn each_request(windows: &[Window]) -> Map<String, Value> {
    let requests: Vec<&RequestRecord> = windows.iter().flat_map(|w| &w.requests).collect();
    let column = |value: &dyn Fn(&RequestRecord, Option<&Completion>) -> Value| -> Value {
        let cells = requests.iter().map(|request| {
            let completion = match &request.outcome {
                Outcome::Completed(completion) => Some(completion),
                Outcome::Failed(_) | Outcome::Blocked(_) => None,
            };
            value(request, completion)
        });
        cells.collect()
    };
    let seconds = |ns: f64| ns * S_PER_NS;
    object(json!({
        "input_lens": column(&|_, c| json!(c.map_or(0, |c| c.input_tokens().0))),
        "output_lens": column(&|_, c| json!(c.and_then(Completion::output_tokens).map_or(0, |t| t.0))),
        "ttfts": column(&|r, c| match c {
            Some(completion) => json!(latency::ttft_ns(r, completion).map(seconds)),
            None => json!(0.0),
        }),
        "itls": column(&|_, c| c.into_iter().flat_map(latency::itl_ns).map(seconds).collect()),
        "latencies": column(&|r, c| json!(c.map_or(0.0, |_| seconds(latency::e2el_ns(r))))),
        "start_times": column(&|r, _| json!(seconds(r.start_ns as f64))),
        "queue_times": column(&|r, _| json!(seconds(queued_ns(r)))),
        // Texts are not kept.
        "generated_texts": column(&|_, _| json!("")),
        "errors": column(&|r, _| json!(match &r.outcome {
            Outcome::Completed(_) => String::new(),
            Outcome::Failed(failure) => failure.cause.to_string(),
            Outcome::Blocked(block) => format!("safety check blocked the {}", block.stage),
        })),
    }))
}

/// How long a request waited in the client after it could have been sent (ns).
fn queued_ns(request: &RequestRecord) -> f64 {
    request.start_ns.saturating_sub(request.intended_ns) as f64
}

/// `mean_…_ms`, `median_…_ms`, `std_…_ms` and percentiles of each latency.
fn latencies(windows: &[Window]) -> Map<String, Value> {
    let completed: Vec<(&RequestRecord, &Completion)> =
        windows.iter().flat_map(Window::completed).collect();
    let each = |value: &dyn Fn(&RequestRecord, &Completion) -> Option<f64>| -> Vec<f64> {
        let values = completed.iter().filter_map(|(r, c)| value(r, c));
        values.collect()
    };
    let mut figures = Map::new();
    for (name, values_ns) in [
        ("ttft", each(&latency::ttft_ns)),
        ("tpot", each(&latency::tpot_ns)),
        (
            "itl",
            completed
                .iter()
                .flat_map(|(_, c)| latency::itl_ns(c))
                .collect(),
        ),
        ("e2el", each(&|r, _| Some(latency::e2el_ns(r)))),
        ("client_queue_time", each(&|r, _| Some(queued_ns(r)))),
    ] {
        let distribution = metrics::Distribution::of(values_ns.iter().copied(), MS_PER_NS);
        let std = metrics::population_std(&values_ns).map(|std| std * MS_PER_NS);
        for (figure, value) in [
            ("mean", distribution.map(|d| d.mean)),
            ("median", distribution.map(|d| d.p50)),
            ("std", std),
            ("p50", distribution.map(|d| d.p50)),
            ("p90", distribution.map(|d| d.p90)),
            ("p99", distribution.map(|d| d.p99)),
        ] {
            figures.insert(format!("{figure}_{name}_ms"), json!(value));
        }
    }
    figures
}
