use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::results::{PointKey, RunRecord};

/// Time between benches that suggests different runs: one `cargo bench` measures them closer together.
const FAR_APART: TimeDelta = TimeDelta::hours(6);

/// One side of a comparison: for each point its run records, in the order of their runs.
#[derive(Clone, Debug)]
pub struct RunSet {
    /// Its name (`vllm-0.32.0`).
    pub name: String,
    points: BTreeMap<PointKey, Vec<RunRecord>>,
}

impl RunSet {
    /// Creates the side `name` of these records; several of one point are several runs of it.
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

    /// A warning if its benches were measured hours or days apart: the servers may have changed in between.
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
                "{}: {} was last measured {}, {} {}: does the older one still describe the same servers?",
                self.name,
                first.0,
                at(first.1),
                last.0,
                at(last.1)
            )
        })
    }

    /// Software and version of its servers (`vLLM 0.32.0`); several separated by commas.
    pub fn server(&self) -> String {
        self.all(RunRecord::server)
    }

    /// The distinct values of a property of its records, separated by commas.
    pub fn all(&self, property: impl Fn(&RunRecord) -> String) -> String {
        let values: BTreeSet<String> = self.records().map(property).collect();
        Vec::from_iter(values).join(", ")
    }
}
