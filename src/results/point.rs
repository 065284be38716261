use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::Metric;

/// A benchmark point: what is measured in one go, and compared with itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PointKey {
    /// Name of the benchmark (`chat_throughput`).
    pub bench: String,
    /// Which prompt (`1k`).
    pub prompt: String,
    /// Requests in flight.
    pub concurrency: usize,
}

impl fmt::Display for PointKey {
    /// As in the tables of a run: `chat_throughput/1k c=32`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} c={}", self.bench, self.prompt, self.concurrency)
    }
}

impl PointKey {
    /// Where the point's record of this name lies, relative to Criterion's directory:
    /// `servemark/<bench>/<prompt>/c=<n>/<name>.json`.
    pub fn record_path(&self, name: &str) -> PathBuf {
        Path::new(RECORDS)
            .join(criterion_file_name(&self.bench))
            .join(criterion_file_name(&self.prompt))
            .join(self.level())
            .join(format!("{}.json", criterion_file_name(name)))
    }

    /// Criterion's directories of the point's metrics for the run or baseline of this name, relative to
    /// Criterion's directory: `<bench>_<prompt>_<metric>/c=<n>/<name>`.
    pub fn criterion_paths(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        Metric::ALL.into_iter().map(move |metric| {
            Path::new(&criterion_file_name(&self.group_name(metric)))
                .join(self.level())
                .join(name)
        })
    }

    /// Name of the Criterion group of one of the point's metrics: `<bench>/<prompt>/<metric>`.
    fn group_name(&self, metric: Metric) -> String {
        format!("{}/{}/{}", self.bench, self.prompt, metric.id())
    }

    fn level(&self) -> String {
        format!("c={}", self.concurrency)
    }
}

/// The directory of run records beside Criterion's own.
pub(super) const RECORDS: &str = "servemark";

/// The directory that Criterion makes of a group's name.
pub(crate) fn criterion_file_name(group: &str) -> String {
    let mut name = group.replace(UNSAFE_IN_FILES, "_");
    // Criterion cuts names to 64 bytes, at a character's boundary.
    while name.len() > LONGEST_NAME {
        name.pop();
    }
    name
}

/// What Criterion does not write into the names of files.
pub(super) const UNSAFE_IN_FILES: [char; 10] = ['?', '"', '/', '\\', '*', '<', '>', ':', '|', '^'];

/// Longest name of a file that Criterion makes of a name (bytes).
pub(super) const LONGEST_NAME: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_directories_are_named_as_criterion_names_them() {
        assert_eq!(
            criterion_file_name("chat_throughput/5/rps"),
            "chat_throughput_5_rps"
        );
        assert_eq!(criterion_file_name(&"x/".repeat(50)).len(), 64);
    }

    #[test]
    fn a_point_knows_its_files() {
        let point = PointKey {
            bench: "chat_throughput".into(),
            prompt: "1k".into(),
            concurrency: 8,
        };
        let record = point.record_path("v1");
        assert_eq!(
            record,
            Path::new("servemark/chat_throughput/1k/c=8/v1.json")
        );
        let criterion: Vec<_> = point.criterion_paths("v1").collect();
        assert_eq!(criterion.len(), Metric::ALL.len());
        assert_eq!(criterion[1], Path::new("chat_throughput_1k_rps/c=8/v1"));
    }
}
