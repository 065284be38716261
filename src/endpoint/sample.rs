use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ServerMetrics;

/// What a server said of itself at a moment of a load: a point of its timeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerSample {
    /// When (ns of the run's clock).
    pub at_ns: u64,
    /// Requests being worked on.
    pub running: Option<f64>,
    /// Requests waiting.
    pub waiting: Option<f64>,
    /// Share of the KV cache in use, 0 to 1.
    pub kv_cache_usage: Option<f64>,
    /// Prompt tokens looked up in the prefix cache since the server started.
    pub prefix_cache_queries: Option<f64>,
    /// Prompt tokens found there.
    pub prefix_cache_hits: Option<f64>,
}

impl ServerSample {
    /// Of a reading that came at `at_ns`.
    pub(crate) fn of(metrics: &ServerMetrics, at_ns: u64) -> ServerSample {
        ServerSample {
            at_ns,
            running: metrics.running,
            waiting: metrics.waiting,
            kv_cache_usage: metrics.kv_cache_usage,
            prefix_cache_queries: metrics.counters.prefix_cache_queries,
            prefix_cache_hits: metrics.counters.prefix_cache_hits,
        }
    }
}
