//! Creates metrics and registers them.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry};

use super::super::output::FinishReason;
use super::super::scheduler::SchedulerLimits;

/// Creates metrics of one model and registers them.
pub(super) struct Registrar<'a> {
    pub registry: &'a Registry,
    pub model_name: &'a str,
}

impl Registrar<'_> {
    /// A metric's name and labels; `engine` is "0", as each replica is a server of its own.
    pub fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(name, help)
            .const_label("model_name", self.model_name)
            .const_label("engine", "0")
    }

    pub fn keep<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.keep(IntCounter::with_opts(self.opts(name, help))?)
    }

    pub fn success(&self, reason: FinishReason) -> Result<IntCounter, prometheus::Error> {
        let help = "Requests that ended, by reason.";
        let opts = self.opts("vllm:request_success_total", help);
        let opts = opts.const_label("finished_reason", reason.id());
        self.keep(IntCounter::with_opts(opts)?)
    }

    pub fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.keep(IntGauge::with_opts(self.opts(name, help))?)
    }

    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> Result<Histogram, prometheus::Error> {
        let opts = HistogramOpts::from(self.opts(name, help)).buckets(buckets.to_vec());
        self.keep(Histogram::with_opts(opts)?)
    }

    /// A gauge of 1 with the configuration as labels, as is usual for constants.
    pub fn cache_config(&self, limits: &SchedulerLimits) -> Result<Gauge, prometheus::Error> {
        let caching = match limits.enable_prefix_caching {
            true => "True",
            false => "False",
        };
        let opts = self
            .opts("vllm:cache_config_info", "The KV cache's configuration.")
            .const_label("block_size", limits.block_size.to_string())
            .const_label("num_gpu_blocks", limits.num_kv_blocks.to_string())
            .const_label("enable_prefix_caching", caching);
        let gauge = self.keep(Gauge::with_opts(opts)?)?;
        gauge.set(1.0);
        Ok(gauge)
    }
}

/// vLLM's buckets for token counts: 1, 2, 5, 10, … up to the longest sequence.
pub(super) fn token_buckets(max_model_len: usize) -> Vec<f64> {
    let decades = (0..12).map(|exponent| 10_f64.powi(exponent));
    let buckets = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|mantissa| mantissa * decade));
    let mut buckets: Vec<f64> = buckets
        .take_while(|bucket| *bucket <= max_model_len as f64)
        .collect();
    if buckets.is_empty() {
        buckets.push(1.0);
    }
    buckets
}

pub(super) fn register_start_time(registry: &Registry) -> Result<(), prometheus::Error> {
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
    fn token_buckets_end_at_the_longest_sequence() {
        assert_eq!(token_buckets(60), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
    }
}
