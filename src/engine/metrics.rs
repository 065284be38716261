//! Prometheus metrics of one replica, with vLLM's names, labels and buckets.
//!
//! Times are wall-clock time, as a client sees them, whatever the engine's speed.

mod histograms;
mod registrar;

use std::time::Instant;

use prometheus::{Encoder, Gauge, IntCounter, IntGauge, Registry, TextEncoder};

use super::engine_core::EngineCore;
use super::output::FinishReason;
use super::scheduler::{SchedulerLimits, TokenEvent, Totals};
use histograms::Histograms;
use registrar::{Registrar, register_start_time};

/// Content type of the exposition format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=1.0.0; charset=utf-8";

/// The progress of a sequence, for the histograms.
#[derive(Clone, Copy, Debug)]
pub(super) struct SequenceProgress {
    arrival: Instant,
    prompt_tokens: usize,
    /// The start of the first step that worked on it.
    pub(super) scheduled: Option<Instant>,
    first_token: Option<Instant>,
    last_token: Instant,
    tokens: u32,
}

impl SequenceProgress {
    /// Creates the progress of a sequence that has just arrived.
    pub(super) fn new(arrival: Instant, prompt_tokens: usize) -> SequenceProgress {
        SequenceProgress {
            arrival,
            prompt_tokens,
            scheduled: None,
            first_token: None,
            last_token: arrival,
            tokens: 0,
        }
    }
}

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
    prompt_tokens: IntCounter,
    cached_prompt_tokens: IntCounter,
    generation_tokens: IntCounter,
    success: [IntCounter; 3],
    histograms: Histograms,
}

impl Metrics {
    /// Creates all metrics, at zero. `model_name` becomes the label of that name.
    pub(super) fn new(
        model_name: &str,
        limits: &SchedulerLimits,
    ) -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        register_start_time(&registry)?;
        let make = Registrar {
            registry: &registry,
            model_name,
        };
        make.cache_config(limits)?;
        Ok(Metrics {
            running: make.gauge("vllm:num_requests_running", "Requests running.")?,
            waiting: make.gauge("vllm:num_requests_waiting", "Requests waiting.")?,
            kv_usage: make.keep(Gauge::with_opts(make.opts(
                "vllm:kv_cache_usage_perc",
                "Share of KV cache blocks in use; 1 is all of them.",
            ))?)?,
            prefix_queries: make.counter(
                "vllm:prefix_cache_queries_total",
                "Prompt tokens looked up in the prefix cache.",
            )?,
            prefix_hits: make.counter(
                "vllm:prefix_cache_hits_total",
                "Prompt tokens found in the prefix cache.",
            )?,
            preemptions: make.counter("vllm:num_preemptions_total", "Requests preempted.")?,
            prompt_tokens: make.counter("vllm:prompt_tokens_total", "Prompt tokens processed.")?,
            cached_prompt_tokens: make.counter(
                "vllm:prompt_tokens_cached_total",
                "Prompt tokens that the prefix cache saved.",
            )?,
            generation_tokens: make
                .counter("vllm:generation_tokens_total", "Output tokens generated.")?,
            success: [
                make.success(FinishReason::Stop)?,
                make.success(FinishReason::Length)?,
                make.success(FinishReason::Abort)?,
            ],
            histograms: Histograms::new(&make, limits)?,
            registry,
        })
    }

    /// Updates gauges and cache counters from the core.
    pub(super) fn observe_queues(&self, core: &EngineCore, seen: &mut Totals) {
        let scheduler = core.scheduler();
        self.running.set(scheduler.running() as i64);
        let waiting = scheduler.waiting() + core.entering();
        self.waiting.set(waiting as i64);
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

    /// Counts a step that produced `tokens` output tokens.
    pub(super) fn observe_step(&self, tokens: usize) {
        self.histograms.step_tokens.observe(tokens as f64);
        self.generation_tokens.inc_by(tokens as u64);
    }

    /// Counts a token emitted at `now` and updates the progress of its sequence.
    pub(super) fn observe_token(
        &self,
        event: &TokenEvent,
        progress: &mut SequenceProgress,
        now: Instant,
    ) {
        let since_previous = now.saturating_duration_since(progress.last_token);
        let histogram = if event.index == 0 {
            progress.first_token = Some(now);
            self.prompt_tokens.inc_by(progress.prompt_tokens as u64);
            self.cached_prompt_tokens
                .inc_by(event.cached_prompt_tokens as u64);
            &self.histograms.time_to_first_token
        } else {
            &self.histograms.inter_token_latency
        };
        histogram.observe(since_previous.as_secs_f64());
        progress.last_token = now;
        progress.tokens += 1;
    }

    /// Counts the end of a sequence. The times of an aborted one are ignored.
    pub(super) fn observe_end(
        &self,
        reason: FinishReason,
        progress: &SequenceProgress,
        now: Instant,
    ) {
        self.success[reason as usize].inc();
        let (Some(scheduled), Some(first)) = (progress.scheduled, progress.first_token) else {
            return;
        };
        if reason == FinishReason::Abort {
            return;
        }
        let seconds = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64();
        let gaps = f64::from(progress.tokens.saturating_sub(1).max(1));
        let of = &self.histograms;
        let observations = [
            (&of.request_latency, seconds(progress.arrival, now)),
            (&of.request_queue, seconds(progress.arrival, scheduled)),
            (&of.request_prefill, seconds(scheduled, first)),
            (&of.request_decode, seconds(first, now)),
            (&of.request_inference, seconds(scheduled, now)),
            (&of.request_time_per_token, seconds(first, now) / gaps),
            (&of.request_prompt_tokens, progress.prompt_tokens as f64),
            (&of.request_generation_tokens, f64::from(progress.tokens)),
        ];
        for (histogram, value) in observations {
            histogram.observe(value);
        }
    }

    /// The metrics in Prometheus' text format.
    pub(super) fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::preset::Preset;
    use super::*;

    #[test]
    fn names_and_labels_match_vllm() {
        let limits = Preset::named("sim-small").expect("shipped").scheduler;
        let metrics = Metrics::new("some/model", &limits).expect("valid names");
        let arrival = Instant::now();
        let after = |millis| arrival + Duration::from_millis(millis);
        let mut progress = SequenceProgress::new(arrival, 30);
        progress.scheduled = Some(after(2));
        let token = |index| TokenEvent {
            sequence: 1,
            index,
            finish: None,
            cached_prompt_tokens: 16,
        };
        metrics.observe_step(1);
        metrics.observe_token(&token(0), &mut progress, after(7));
        metrics.observe_token(&token(1), &mut progress, after(900));
        metrics.observe_end(FinishReason::Length, &progress, after(900));
        let text = String::from_utf8(metrics.render().expect("encodes")).expect("UTF-8");
        let labels = "engine=\"0\",model_name=\"some/model\"";
        for line in [
            format!("vllm:num_requests_running{{{labels}}} 0"),
            format!("vllm:num_requests_waiting{{{labels}}} 0"),
            format!("vllm:kv_cache_usage_perc{{{labels}}} 0"),
            format!("vllm:prefix_cache_queries_total{{{labels}}} 0"),
            format!("vllm:prefix_cache_hits_total{{{labels}}} 0"),
            format!("vllm:num_preemptions_total{{{labels}}} 0"),
            format!("vllm:prompt_tokens_total{{{labels}}} 30"),
            format!("vllm:prompt_tokens_cached_total{{{labels}}} 16"),
            format!("vllm:generation_tokens_total{{{labels}}} 1"),
            "vllm:request_success_total{engine=\"0\",finished_reason=\"length\",model_name=\"some/model\"} 1".to_owned(),
            format!("vllm:time_to_first_token_seconds_bucket{{{labels},le=\"0.005\"}} 0"),
            format!("vllm:time_to_first_token_seconds_bucket{{{labels},le=\"0.01\"}} 1"),
            format!("vllm:inter_token_latency_seconds_count{{{labels}}} 1"),
            format!("vllm:e2e_request_latency_seconds_sum{{{labels}}} 0.9"),
            format!("vllm:request_queue_time_seconds_sum{{{labels}}} 0.002"),
            format!("vllm:request_prefill_time_seconds_sum{{{labels}}} 0.005"),
            format!("vllm:request_decode_time_seconds_sum{{{labels}}} 0.893"),
            format!("vllm:request_inference_time_seconds_sum{{{labels}}} 0.898"),
            format!("vllm:request_time_per_output_token_seconds_sum{{{labels}}} 0.893"),
            format!("vllm:request_prompt_tokens_bucket{{{labels},le=\"50\"}} 1"),
            format!("vllm:request_generation_tokens_bucket{{{labels},le=\"2\"}} 1"),
            format!("vllm:iteration_tokens_total_count{{{labels}}} 1"),
            "vllm:cache_config_info{block_size=\"16\",enable_prefix_caching=\"True\",engine=\"0\",model_name=\"some/model\",num_gpu_blocks=\"16384\"} 1".to_owned(),
            "# TYPE vllm:generation_tokens_total counter".to_owned(),
        ] {
            assert!(text.lines().any(|had| had == line), "{line}\nnot in\n{text}");
        }
        assert!(text.contains("process_start_time_seconds 1"), "{text}");
    }

    #[test]
    fn an_aborted_request_is_counted_without_times() {
        let limits = Preset::named("sim-small").expect("shipped").scheduler;
        let metrics = Metrics::new("m", &limits).expect("valid names");
        let now = Instant::now();
        metrics.observe_end(FinishReason::Abort, &SequenceProgress::new(now, 3), now);
        assert_eq!(metrics.success[FinishReason::Abort as usize].get(), 1);
        assert_eq!(metrics.histograms.request_latency.get_sample_count(), 0);
    }
}
