use crate::load::SelfCheck;
use crate::metrics::{Blocked, FailureCount, Summary};
use crate::results::RunRecord;

/// One benchmark point, ready to be shown: a row of the table and of the CSV file.
#[derive(Clone, Debug)]
pub struct Row {
    /// Name of the benchmark (`chat_throughput`).
    pub bench: String,
    /// Which prompt (`1k`, `random-1000`).
    pub prompt: String,
    /// Tokens of the prompt as the harness's tokenizer counts them.
    pub prompt_tokens: usize,
    /// Requests in flight.
    pub concurrency: usize,
    /// `steady` or `wave`.
    pub load_shape: String,
    /// Length of the endpoint list.
    pub endpoints: usize,
    /// GPUs behind the endpoints, where known.
    pub num_gpu: Option<u32>,
    /// What the endpoints simulate, if they do.
    pub simulated: Option<String>,
    /// Whether the servers' certificates were not verified.
    pub insecure: bool,
    /// Whether the client kept up, where it was watched.
    pub self_check: Option<SelfCheck>,
    /// The figures, or what went wrong.
    pub result: PointResult,
}

/// What came of a point.
#[derive(Clone, Debug)]
pub enum PointResult {
    /// At least one request succeeded.
    Measured(Box<Summary>),
    /// None did.
    Failed {
        /// Why, by cause.
        failures: Vec<FailureCount>,
        /// What the safety check stopped.
        blocked: Vec<Blocked>,
    },
}

impl Row {
    /// The row of a point that has been kept.
    pub fn of(record: &RunRecord) -> Row {
        let config = |key: &str| record.config.get(key);
        let shape = config("LOAD_SHAPE").and_then(|shape| shape.as_str());
        Row {
            bench: record.bench.clone(),
            prompt: record.prompt.clone(),
            prompt_tokens: record.prompt_tokens,
            concurrency: record.concurrency,
            load_shape: shape.unwrap_or("unknown").to_owned(),
            endpoints: record.endpoints.len(),
            num_gpu: record.num_gpu(),
            simulated: record.simulated.clone(),
            insecure: record.insecure(),
            self_check: record.self_check.clone(),
            result: match &record.summary {
                Some(summary) => PointResult::Measured(Box::new(summary.clone())),
                None => PointResult::Failed {
                    failures: record.failures.clone(),
                    blocked: record.blocked.clone(),
                },
            },
        }
    }

    /// The figures, if there are any.
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

    /// What the safety check stopped.
    pub fn blocked(&self) -> &[Blocked] {
        match &self.result {
            PointResult::Measured(summary) => &summary.blocked,
            PointResult::Failed { blocked, .. } => blocked,
        }
    }

    /// The point's name in messages (`chat_throughput/1k c=32`).
    pub fn name(&self) -> String {
        format!("{}/{} c={}", self.bench, self.prompt, self.concurrency)
    }
}
