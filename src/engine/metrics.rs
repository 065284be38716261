//! Prometheus metrics of one replica, with vLLM's names, labels and buckets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry, TextEncoder,
};

use super::output::FinishReason;
use super::scheduler::{Scheduler, Totals};

/// Content type of the exposition format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=1.0.0; charset=utf-8";

const TTFT_BUCKETS: [f64; 22] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
];
const ITL_BUCKETS: [f64; 19] = [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0,
];
const REQUEST_BUCKETS: [f64; 21] = [
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1920.0, 7680.0,
];

/// The metrics and their registry.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    running: IntGauge,
    waiting: IntGauge,
    kv_usage: Gauge,
    prefix_queries: IntCounter,
    prefix_hits: IntCounter,
    preemptions: IntCounter,
    pub(super) prompt_tokens: IntCounter,
    pub(super) generation_tokens: IntCounter,
    success: [IntCounter; 3],
    time_to_first_token: Histogram,
    inter_token_latency: Histogram,
    request_latency: Histogram,
}

impl Metrics {
    /// All metrics at zero. `model_name` becomes the label of that name; `engine` is "0",
    /// as each replica is a server of its own.
    pub(super) fn new(model_name: &str) -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let opts = |name: &str, help: &str| {
            Opts::new(name, help)
                .const_label("model_name", model_name)
                .const_label("engine", "0")
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::with_opts(opts(name, help))?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let success = |reason: FinishReason| {
            let opts = opts(
                "vllm:request_success_total",
                "Requests that ended, by reason.",
            );
            let counter =
                IntCounter::with_opts(opts.const_label("finished_reason", reason.as_str()))?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::with_opts(opts(name, help))?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
            let histogram = Histogram::with_opts(opts)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let kv_usage = Gauge::with_opts(opts(
            "vllm:kv_cache_usage_perc",
            "Share of KV cache blocks in use; 1 is all of them.",
        ))?;
        registry.register(Box::new(kv_usage.clone()))?;
        register_start_time(&registry)?;
        Ok(Metrics {
            running: gauge("vllm:num_requests_running", "Requests running.")?,
            waiting: gauge("vllm:num_requests_waiting", "Requests waiting.")?,
            kv_usage,
            prefix_queries: counter(
                "vllm:prefix_cache_queries_total",
                "Prompt tokens looked up in the prefix cache.",
            )?,
            prefix_hits: counter(
                "vllm:prefix_cache_hits_total",
                "Prompt tokens found in the prefix cache.",
            )?,
            preemptions: counter("vllm:num_preemptions_total", "Requests preempted.")?,
            prompt_tokens: counter("vllm:prompt_tokens_total", "Prompt tokens processed.")?,
            generation_tokens: counter("vllm:generation_tokens_total", "Output tokens generated.")?,
            success: [
                success(FinishReason::Stop)?,
                success(FinishReason::Length)?,
                success(FinishReason::Abort)?,
            ],
            time_to_first_token: histogram(
                "vllm:time_to_first_token_seconds",
                "Time from a request's arrival to its first token, seconds.",
                &TTFT_BUCKETS,
            )?,
            inter_token_latency: histogram(
                "vllm:inter_token_latency_seconds",
                "Time between consecutive tokens of a request, seconds.",
                &ITL_BUCKETS,
            )?,
            request_latency: histogram(
                "vllm:e2e_request_latency_seconds",
                "Time from a request's arrival to its last token, seconds.",
                &REQUEST_BUCKETS,
            )?,
            registry,
        })
    }

    /// Brings gauges and cache counters up to the scheduler's state.
    pub(super) fn observe_scheduler(&self, scheduler: &Scheduler, seen: &mut Totals) {
        self.running.set(scheduler.running() as i64);
        self.waiting.set(scheduler.waiting() as i64);
        self.kv_usage.set(scheduler.kv_usage());
        let totals = scheduler.totals();
        self.prefix_queries
            .inc_by(totals.prefix_queries - seen.prefix_queries);
        self.prefix_hits
            .inc_by(totals.prefix_hits - seen.prefix_hits);
        self.preemptions
            .inc_by(totals.preemptions - seen.preemptions);
        *seen = totals;
    }

    /// Counts a token that left `since_previous` after the one before it, or, for the
    /// first, after the request's arrival.
    pub(super) fn observe_token(&self, first: bool, since_previous: Duration) {
        self.generation_tokens.inc();
        let histogram = if first {
            &self.time_to_first_token
        } else {
            &self.inter_token_latency
        };
        histogram.observe(since_previous.as_secs_f64());
    }

    /// Counts a request's end. Its latency counts unless it was aborted.
    pub(super) fn observe_end(&self, reason: FinishReason, since_arrival: Duration) {
        self.success[reason as usize].inc();
        if reason != FinishReason::Abort {
            self.request_latency.observe(since_arrival.as_secs_f64());
        }
    }

    /// The metrics in Prometheus' text format.
    pub(super) fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn register_start_time(registry: &Registry) -> Result<(), prometheus::Error> {
    let gauge = Gauge::with_opts(Opts::new(
        "process_start_time_seconds",
        "Start time of the simulated server since the Unix epoch, seconds.",
    ))?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    gauge.set(now.as_secs_f64());
    registry.register(Box::new(gauge))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_those_of_vllm() {
        let metrics = Metrics::new("some/model").expect("valid names");
        metrics.observe_token(true, Duration::from_millis(7));
        metrics.observe_end(FinishReason::Length, Duration::from_millis(900));
        let text = String::from_utf8(metrics.render().expect("encodes")).expect("UTF-8");
        let labels = "engine=\"0\",model_name=\"some/model\"";
        for line in [
            format!("vllm:num_requests_running{{{labels}}} 0"),
            format!("vllm:num_requests_waiting{{{labels}}} 0"),
            format!("vllm:kv_cache_usage_perc{{{labels}}} 0"),
            format!("vllm:prefix_cache_queries_total{{{labels}}} 0"),
            format!("vllm:prefix_cache_hits_total{{{labels}}} 0"),
            format!("vllm:num_preemptions_total{{{labels}}} 0"),
            format!("vllm:prompt_tokens_total{{{labels}}} 0"),
            format!("vllm:generation_tokens_total{{{labels}}} 1"),
            "vllm:request_success_total{engine=\"0\",finished_reason=\"length\",model_name=\"some/model\"} 1".to_owned(),
            format!("vllm:time_to_first_token_seconds_bucket{{{labels},le=\"0.005\"}} 0"),
            format!("vllm:time_to_first_token_seconds_bucket{{{labels},le=\"0.01\"}} 1"),
            format!("vllm:inter_token_latency_seconds_count{{{labels}}} 0"),
            format!("vllm:e2e_request_latency_seconds_sum{{{labels}}} 0.9"),
            "# TYPE vllm:generation_tokens_total counter".to_owned(),
        ] {
            assert!(text.lines().any(|had| had == line), "{line}\nnot in\n{text}");
        }
        assert!(text.contains("process_start_time_seconds 1"), "{text}");
    }
}
