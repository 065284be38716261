use std::collections::BTreeMap;

use crate::results::{PointKey, RunRecord};

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
            points.entry(record.point()).or_default().push(record);
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
        let mut servers: Vec<String> = self.records().map(RunRecord::server).collect();
        servers.sort_unstable();
        servers.dedup();
        servers.join(", ")
    }
}
