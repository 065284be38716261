use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::results::{PointKey, RunRecord};

/// Benches of one `cargo bench` follow each other more closely.
const FAR_APART: TimeDelta = TimeDelta::hours(6);

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

    /// That its benches were measured hours or days apart, if they were: each was perhaps of another state
    /// of the servers.
    pub fn time_gap(&self) -> Option<String> {
        let mut ends: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
        for record in self.records() {
            let end = ends.entry(&record.bench).or_insert(record.ended());
            *end = record.ended().max(*end);
        }
        let first = ends.iter().min_by_key(|(_, end)| **end)?;
        let last = ends.iter().max_by_key(|(_, end)| **end)?;
        let at = |end: &DateTime<Utc>| end.format("%Y-%m-%d %H:%M UTC").to_string();
        (*last.1 - *first.1 > FAR_APART).then(|| {
            format!(
                "{}: {} was last measured {}, {} {}: is the older one still of the same servers?",
                self.name,
                first.0,
                at(first.1),
                last.0,
                at(last.1)
            )
        })
    }

    /// Software and version of its servers (`vLLM 0.32.0`); several between commas.
    pub fn server(&self) -> String {
        let mut servers: Vec<String> = self.records().map(RunRecord::server).collect();
        servers.sort_unstable();
        servers.dedup();
        servers.join(", ")
    }
}
