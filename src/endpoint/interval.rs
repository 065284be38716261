use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ServerCounters, ServerMetrics, server_metrics};

/// What a server counted while a point was measured, by its own account.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MetricsInterval {
    /// Time between the two readings (s).
    pub seconds: f64,
    /// The first reading.
    pub before: ServerMetrics,
    /// The last reading.
    pub after: ServerMetrics,
    /// What was counted between them; `None` if the server restarted.
    pub delta: Option<ServerCounters>,
}

impl MetricsInterval {
    /// Of two readings, `seconds` apart.
    pub(crate) fn new(
        seconds: f64,
        before: ServerMetrics,
        after: ServerMetrics,
    ) -> MetricsInterval {
        MetricsInterval {
            seconds,
            delta: server_metrics::delta(&before, &after).ok(),
            before,
            after,
        }
    }
}
