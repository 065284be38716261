use std::collections::BTreeMap;
use std::fmt;

use super::comparable::servers;
use crate::results::RunRecord;

/// A benchmark point: what both sides must have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PointKey {
    /// Name of the benchmark (`chat_throughput`).
    pub bench: String,
    /// Which prompt (`1k`).
    pub prompt: String,
    /// Requests in flight.
    pub concurrency: usize,
}

impl PointKey {
    /// The point that a record is of.
    pub fn of(record: &RunRecord) -> PointKey {
        PointKey {
            bench: record.bench.clone(),
            prompt: record.prompt.clone(),
            concurrency: record.concurrency,
        }
    }
}

impl fmt::Display for PointKey {
    /// As in the tables of a run: `chat_throughput/1k c=32`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} c={}", self.bench, self.prompt, self.concurrency)
    }
}

/// One side of a comparison: for each point its run records, in the order of their runs.
#[derive(Clone, Debug)]
pub struct RunSet {
    /// What it is called (`vllm-0.32.0`).
    pub name: String,
    points: BTreeMap<PointKey, Vec<RunRecord>>,
}

impl RunSet {
    /// The side called `name`, of these records; several of one point are several runs of it.
    pub fn new(name: impl Into<String>, records: impl IntoIterator<Item = RunRecord>) -> RunSet {
        let mut points: BTreeMap<PointKey, Vec<RunRecord>> = BTreeMap::new();
        for record in records {
            points
                .entry(PointKey::of(&record))
                .or_default()
                .push(record);
        }
        RunSet {
            name: name.into(),
            points,
        }
    }

    /// Its points, with their records.
    pub fn points(&self) -> &BTreeMap<PointKey, Vec<RunRecord>> {
        &self.points
    }

    /// All of its records.
    pub fn records(&self) -> impl Iterator<Item = &RunRecord> {
        self.points.values().flatten()
    }

    /// Software and version of its servers (`vLLM 0.32.0`); several between commas.
    pub fn server(&self) -> String {
        let mut servers: Vec<String> = self.records().map(servers).collect();
        servers.sort_unstable();
        servers.dedup();
        servers.join(", ")
    }
}
