use std::cmp::Ordering;
use std::fmt;
use std::path::{Path, PathBuf};

use super::file_name::file_name;
use super::point::{PointKey, RECORDS, by_prompt};

/// What a baseline keeps, and what a comparison compares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ResultKey {
    /// The figures of a point.
    Point(PointKey),
    /// The capacity with a prompt.
    Capacity(CapacityKey),
}

/// The capacity with a prompt of a bench.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CapacityKey {
    /// Name of the benchmark (`capacity`).
    pub bench: String,
    /// Key of the prompt (`1k`).
    pub prompt: String,
}

/// Directory of a prompt's capacities, beside those of its levels.
pub(super) const CAPACITY: &str = "capacity";

impl CapacityKey {
    /// Path of the capacity's record of this name, relative to Criterion's directory:
    /// `servemark/<bench>/<prompt>/capacity/<name>.json`.
    pub fn record_path(&self, name: &str) -> PathBuf {
        Path::new(RECORDS)
            .join(file_name(&self.bench))
            .join(file_name(&self.prompt))
            .join(CAPACITY)
            .join(format!("{name}.json"))
    }
}

impl fmt::Display for CapacityKey {
    /// The bench and the prompt: `capacity/1k`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bench, self.prompt)
    }
}

impl ResultKey {
    /// Name of the benchmark.
    pub fn bench(&self) -> &str {
        match self {
            ResultKey::Point(point) => &point.bench,
            ResultKey::Capacity(capacity) => &capacity.bench,
        }
    }

    /// Key of the prompt.
    pub fn prompt(&self) -> &str {
        match self {
            ResultKey::Point(point) => &point.prompt,
            ResultKey::Capacity(capacity) => &capacity.prompt,
        }
    }

    /// The point, if it is one.
    pub fn point(&self) -> Option<&PointKey> {
        match self {
            ResultKey::Point(point) => Some(point),
            ResultKey::Capacity(_) => None,
        }
    }

    /// Its name where the bench is known: `1k c=32`, of a capacity `1k`.
    pub fn name_in_bench(&self) -> String {
        match self {
            ResultKey::Point(point) => point.name_in_bench(),
            ResultKey::Capacity(capacity) => capacity.prompt.clone(),
        }
    }

    /// That a side of this name lacks it.
    pub fn missing_in(&self, side: &str) -> String {
        match self {
            ResultKey::Point(_) => format!("{side} did not measure it"),
            ResultKey::Capacity(_) => format!("{side} did not search for its capacity"),
        }
    }

    /// Path of its record of this name, relative to Criterion's directory.
    pub fn record_path(&self, name: &str) -> PathBuf {
        match self {
            ResultKey::Point(point) => point.record_path(name),
            ResultKey::Capacity(capacity) => capacity.record_path(name),
        }
    }

    /// Criterion's directories of it on a deployment; a capacity has none.
    pub(crate) fn criterion_directories(
        &self,
        deployment: Option<&str>,
        name: &str,
    ) -> impl Iterator<Item = PathBuf> {
        let point = self.point();
        let directories = point.map(|point| point.criterion_directories(deployment, name));
        directories.into_iter().flatten()
    }

    /// Whether both have the same files, also on a case-insensitive file system.
    pub(crate) fn shares_files(&self, other: &ResultKey) -> bool {
        let place = |key: &ResultKey| key.record_path("new").to_string_lossy().to_lowercase();
        place(self) == place(other)
    }

    /// The number of points and capacities: `12 point(s)`, `5 point(s) and 1 capacity`.
    pub fn count(keys: &[ResultKey]) -> String {
        let points = keys.iter().filter(|key| key.point().is_some()).count();
        match keys.len() - points {
            0 => format!("{points} point(s)"),
            1 => format!("{points} point(s) and 1 capacity"),
            capacities => format!("{points} point(s) and {capacities} capacities"),
        }
    }
}

impl fmt::Display for ResultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResultKey::Point(point) => point.fmt(f),
            ResultKey::Capacity(capacity) => capacity.fmt(f),
        }
    }
}

impl From<PointKey> for ResultKey {
    fn from(point: PointKey) -> ResultKey {
        ResultKey::Point(point)
    }
}

impl From<CapacityKey> for ResultKey {
    fn from(capacity: CapacityKey) -> ResultKey {
        ResultKey::Capacity(capacity)
    }
}

impl Ord for CapacityKey {
    fn cmp(&self, other: &CapacityKey) -> Ordering {
        by_prompt([&self.bench, &self.prompt], [&other.bench, &other.prompt])
    }
}

impl PartialOrd for CapacityKey {
    fn partial_cmp(&self, other: &CapacityKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ResultKey {
    /// As points are; the capacity with a prompt comes before its points.
    fn cmp(&self, other: &ResultKey) -> Ordering {
        let level = |key: &ResultKey| key.point().map(|point| point.level);
        let prompts = by_prompt(
            [self.bench(), self.prompt()],
            [other.bench(), other.prompt()],
        );
        prompts.then_with(|| level(self).cmp(&level(other)))
    }
}

impl PartialOrd for ResultKey {
    fn partial_cmp(&self, other: &ResultKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
