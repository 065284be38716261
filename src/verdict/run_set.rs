use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::results::{CapacityKey, CapacityRecord, PointKey, ResultKey, RunRecord, Setup};

/// Time between benches that suggests different runs: one `cargo bench` measures them closer together.
const FAR_APART: TimeDelta = TimeDelta::hours(6);

/// One side of a comparison: the records of each point and of each capacity, in the order of their runs.
#[derive(Clone, Debug)]
pub struct RunSet {
    /// Its name (`vllm-0.32.0`).
    pub name: String,
    points: BTreeMap<PointKey, Vec<RunRecord>>,
    capacities: BTreeMap<CapacityKey, Vec<CapacityRecord>>,
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
            capacities: BTreeMap::new(),
        }
    }

    /// Adds capacities; several with one prompt are several searches.
    pub fn with_capacities(mut self, records: impl IntoIterator<Item = CapacityRecord>) -> RunSet {
        for record in records {
            let known = self.capacities.entry(record.key()).or_default();
            known.push(record);
        }
        self
    }

    /// Its points, with their records.
    pub fn points(&self) -> &BTreeMap<PointKey, Vec<RunRecord>> {
        &self.points
    }

    /// Its capacities, with their records.
    pub fn capacities(&self) -> &BTreeMap<CapacityKey, Vec<CapacityRecord>> {
        &self.capacities
    }

    /// Whether it has this point or capacity.
    pub fn has(&self, result: &ResultKey) -> bool {
        match result {
            ResultKey::Point(point) => self.points.contains_key(point),
            ResultKey::Capacity(capacity) => self.capacities.contains_key(capacity),
        }
    }

    /// All records of its points.
    pub fn records(&self) -> impl Iterator<Item = &RunRecord> {
        self.points.values().flatten()
    }

    /// How each of its results was measured.
    pub fn setups(&self) -> impl Iterator<Item = Setup<'_>> {
        let capacities = self.capacities.values().flatten();
        let points = self.records().map(RunRecord::setup);
        points.chain(capacities.map(CapacityRecord::setup))
    }

    /// How a point or a capacity was measured, in each run.
    pub(super) fn setups_of(&self, result: &ResultKey) -> Vec<Setup<'_>> {
        match result {
            ResultKey::Point(point) => {
                let records = self.points.get(point).into_iter().flatten();
                records.map(RunRecord::setup).collect()
            }
            ResultKey::Capacity(capacity) => {
                let records = self.capacities.get(capacity).into_iter().flatten();
                records.map(CapacityRecord::setup).collect()
            }
        }
    }

    /// What its servers simulate; `None` for real ones.
    pub fn simulated(&self) -> Option<&str> {
        self.setups().find_map(|setup| setup.simulated)
    }

    /// Whether the certificates of its servers were not verified.
    pub fn insecure(&self) -> bool {
        self.setups().any(|setup| setup.insecure())
    }

    /// When its last measurement ended.
    pub fn ended(&self) -> Option<DateTime<Utc>> {
        self.setups().map(|setup| setup.ended()).max()
    }

    /// A warning if its benches were measured hours or days apart: the servers may have changed in between.
    pub fn time_gap(&self) -> Option<String> {
        let mut ends: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
        for setup in self.setups() {
            let end = ends.entry(setup.bench).or_insert(setup.ended());
            *end = setup.ended().max(*end);
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
        self.all(|setup| setup.server())
    }

    /// The models that it asked for; several separated by commas.
    pub fn model(&self) -> String {
        self.all(|setup| setup.model())
    }

    /// The distinct values of a property of its measurements, separated by commas.
    pub fn all(&self, property: impl Fn(&Setup<'_>) -> String) -> String {
        let values: BTreeSet<String> = self.setups().map(|setup| property(&setup)).collect();
        Vec::from_iter(values).join(", ")
    }
}
