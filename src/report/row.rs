use crate::level::Level;
use crate::load::SelfCheck;
use crate::metrics::{Blocked, FailureCount, Outage, Summary};
use crate::prompt::RequestLengths;
use crate::results::RunRecord;

/// One benchmark point as a row of a table or of the CSV file: a view of its record.
#[derive(Clone, Debug)]
pub struct Row {
    /// Name of the benchmark (`chat_throughput`).
    pub bench: String,
    /// Key of the prompt (`1k`, `random-1000`).
    pub prompt: String,
    /// The lengths of the requests.
    pub lengths: RequestLengths,
    /// How hard the servers were loaded.
    pub level: Level,
    /// `steady` or `wave`.
    pub load_shape: String,
    /// Length of the endpoint list.
    pub endpoints: usize,
    /// GPUs behind the endpoints, if known.
    pub num_gpu: Option<u32>,
    /// The preset that the endpoints simulate, if they do.
    pub simulated: Option<String>,
    /// Whether the servers' certificates were not verified.
    pub insecure: bool,
    /// Why it has less than planned, if it has.
    pub partial: Option<String>,
    /// Whether the client kept up, if it was checked.
    pub self_check: Option<SelfCheck>,
    /// The figures, or the failures.
    pub result: PointResult,
}

/// The result of a point.
#[derive(Clone, Debug)]
pub enum PointResult {
    /// At least one request succeeded.
    Measured(Box<Summary>),
    /// No request succeeded.
    Failed {
        /// Failures by cause.
        failures: Vec<FailureCount>,
        /// Requests that the safety check blocked.
        blocked: Vec<Blocked>,
        /// When an endpoint served nothing.
        outages: Vec<Outage>,
    },
}

impl Row {
    /// The row of a record.
    pub fn of(record: &RunRecord) -> Row {
        let config = |key: &str| record.config.get(key);
        let shape = config("LOAD_SHAPE").and_then(|shape| shape.as_str());
        Row {
            bench: record.bench.clone(),
            prompt: record.prompt.clone(),
            lengths: record.lengths(),
            level: record.level,
            load_shape: shape.unwrap_or("unknown").to_owned(),
            endpoints: record.endpoints.len(),
            num_gpu: record.num_gpu(),
            simulated: record.simulated.clone(),
            insecure: record.insecure(),
            partial: record.partial.clone(),
            self_check: record.self_check.clone(),
            result: match &record.summary {
                Some(summary) => PointResult::Measured(Box::new(summary.clone())),
                None => PointResult::Failed {
                    failures: record.failures.clone(),
                    blocked: record.blocked.clone(),
                    outages: record.outages.clone(),
                },
            },
        }
    }

    /// The figures, if any request succeeded.
    pub fn summary(&self) -> Option<&Summary> {
        match &self.result {
            PointResult::Measured(summary) => Some(summary),
            PointResult::Failed { .. } => None,
        }
    }

    /// Failed requests by cause.
    pub fn failures(&self) -> &[FailureCount] {
        match &self.result {
            PointResult::Measured(summary) => &summary.failures,
            PointResult::Failed { failures, .. } => failures,
        }
    }

    /// Requests that the safety check blocked.
    pub fn blocked(&self) -> &[Blocked] {
        match &self.result {
            PointResult::Measured(summary) => &summary.blocked,
            PointResult::Failed { blocked, .. } => blocked,
        }
    }

    /// When an endpoint served nothing.
    pub fn outages(&self) -> &[Outage] {
        match &self.result {
            PointResult::Measured(summary) => &summary.outages,
            PointResult::Failed { outages, .. } => outages,
        }
    }

    /// The point's name in messages (`chat_throughput/1k c=32`).
    pub fn name(&self) -> String {
        format!("{}/{} {}", self.bench, self.prompt, self.level)
    }
}
