//! The histograms of a replica, with vLLM's buckets.

use prometheus::Histogram;

use super::super::scheduler::SchedulerLimits;
use super::registrar::{Registrar, token_buckets};

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
const STEP_TOKEN_BUCKETS: [f64; 13] = [
    1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0,
];

/// All histograms.
#[derive(Debug)]
pub(super) struct Histograms {
    pub(super) step_tokens: Histogram,
    pub(super) time_to_first_token: Histogram,
    pub(super) inter_token_latency: Histogram,
    pub(super) request_latency: Histogram,
    pub(super) request_queue: Histogram,
    pub(super) request_prefill: Histogram,
    pub(super) request_decode: Histogram,
    pub(super) request_inference: Histogram,
    pub(super) request_time_per_token: Histogram,
    pub(super) request_prompt_tokens: Histogram,
    pub(super) request_generation_tokens: Histogram,
}

impl Histograms {
    /// Creates and registers all histograms.
    pub(super) fn new(
        make: &Registrar<'_>,
        limits: &SchedulerLimits,
    ) -> Result<Histograms, prometheus::Error> {
        let tokens = token_buckets(limits.max_model_len);
        Ok(Histograms {
            step_tokens: make.histogram(
                "vllm:iteration_tokens_total",
                "Output tokens of a step.",
                &STEP_TOKEN_BUCKETS,
            )?,
            time_to_first_token: make.histogram(
                "vllm:time_to_first_token_seconds",
                "Time from a request's arrival to its first token, seconds.",
                &TTFT_BUCKETS,
            )?,
            inter_token_latency: make.histogram(
                "vllm:inter_token_latency_seconds",
                "Time between consecutive tokens of a request, seconds.",
                &ITL_BUCKETS,
            )?,
            request_latency: make.histogram(
                "vllm:e2e_request_latency_seconds",
                "Time from a request's arrival to its last token, seconds.",
                &REQUEST_BUCKETS,
            )?,
            request_queue: make.histogram(
                "vllm:request_queue_time_seconds",
                "Time from a request's arrival to its first step, seconds.",
                &REQUEST_BUCKETS,
            )?,
            request_prefill: make.histogram(
                "vllm:request_prefill_time_seconds",
                "Time from a request's first step to its first token, seconds.",
                &REQUEST_BUCKETS,
            )?,
            request_decode: make.histogram(
                "vllm:request_decode_time_seconds",
                "Time from a request's first token to its last, seconds.",
                &REQUEST_BUCKETS,
            )?,
            request_inference: make.histogram(
                "vllm:request_inference_time_seconds",
                "Time from a request's first step to its last token, seconds.",
                &REQUEST_BUCKETS,
            )?,
            request_time_per_token: make.histogram(
                "vllm:request_time_per_output_token_seconds",
                "Mean time between a request's tokens, seconds.",
                &ITL_BUCKETS,
            )?,
            request_prompt_tokens: make.histogram(
                "vllm:request_prompt_tokens",
                "Prompt tokens of a request.",
                &tokens,
            )?,
            request_generation_tokens: make.histogram(
                "vllm:request_generation_tokens",
                "Output tokens of a request.",
                &tokens,
            )?,
        })
    }
}
