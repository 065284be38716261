use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::trial::Count;
use crate::client::{Outcome, RequestRecord};
use crate::config::{Limit, Slo};
use crate::load::Window;
use crate::metrics::meets;

/// The share of failed requests that is allowed where `SLO` does not say.
const FAILED: f64 = 0.01;

/// What a deployment must meet: at most a share of the requests may miss it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Objective {
    /// Its name, such as `TTFT P95 ≤ 500 ms`.
    pub name: String,
    /// The largest share of requests that may miss it (0 to 1).
    pub allowed: f64,
    /// The limit of a latency; none for the share of failed requests.
    limit: Option<LatencyLimit>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct LatencyLimit {
    /// Its name in `SLO`.
    latency: String,
    #[schemars(with = "serde_json::Value")]
    limit: Limit,
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The objectives of `slo`: each latency that it limits, and the share of failed requests, 1 % where it does not say.
pub fn objectives(slo: &Slo) -> Vec<Objective> {
    let limits = slo.latencies().into_iter();
    let latencies = limits.filter_map(|(name, limit)| {
        let limit = limit?;
        Some(Objective {
            name: format!("{} {limit}", name.to_uppercase()),
            allowed: 1.0 - limit.percentile.percent() / 100.0,
            limit: Some(LatencyLimit {
                latency: name.to_owned(),
                limit,
            }),
        })
    });
    let share = slo.failed.unwrap_or(FAILED);
    let failed = Objective {
        name: format!("failed ≤ {} %", share * 100.0),
        allowed: share,
        limit: None,
    };
    latencies.chain([failed]).collect()
}

impl Objective {
    /// Whether it limits a latency, not the share of failed requests.
    pub fn is_latency(&self) -> bool {
        self.limit.is_some()
    }

    /// Counts requests, and those that missed it, in windows of one load. Blocked requests do not count, nor do failed
    /// ones in a latency.
    pub fn count(&self, windows: &[Window]) -> Count {
        let of_window = |window: &Window| {
            let missed = window.requests.iter().filter_map(|r| self.is_missed(r));
            missed.fold((0, 0), |(missed, all), is_missed| {
                (missed + u64::from(is_missed), all + 1)
            })
        };
        Count::of(windows.iter().map(of_window))
    }

    /// Whether a request missed it; `None` for one that it does not judge.
    fn is_missed(&self, request: RequestRecord) -> Option<bool> {
        let Some(LatencyLimit { latency, limit }) = &self.limit else {
            return match request.outcome {
                Outcome::Completed(_) => Some(false),
                Outcome::Failed(_) => Some(true),
                Outcome::Blocked(_) => None,
            };
        };
        let mut slo = Slo::default();
        match &**latency {
            "ttft" => slo.ttft = Some(*limit),
            "tpot" => slo.tpot = Some(*limit),
            "itl" => slo.itl = Some(*limit),
            _ => slo.e2el = Some(*limit),
        }
        Some(!meets(&slo, &request.completed()?))
    }
}
