use std::cmp::Ordering;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::Metric;

/// A benchmark point: what is measured in one go, and compared with itself.
///
/// Points are in the order of their benches, the lengths of their prompts and their concurrencies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PointKey {
    /// Name of the benchmark (`chat_throughput`).
    pub bench: String,
    /// Which prompt (`1k`).
    pub prompt: String,
    /// Requests in flight.
    pub concurrency: usize,
}

impl Ord for PointKey {
    fn cmp(&self, other: &PointKey) -> Ordering {
        let benches = self.bench.cmp(&other.bench);
        let prompts = || length(&self.prompt).cmp(&length(&other.prompt));
        let named = || self.prompt.cmp(&other.prompt);
        benches
            .then_with(prompts)
            .then_with(named)
            .then_with(|| self.concurrency.cmp(&other.concurrency))
    }
}

impl PartialOrd for PointKey {
    fn partial_cmp(&self, other: &PointKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The number in a prompt's name (`25`, `1k`, `random-1000`), by which people sort prompts.
fn length(prompt: &str) -> Option<u64> {
    let (prompt, times) = match prompt.strip_suffix('k') {
        Some(prompt) => (prompt, 1000),
        None => (prompt, 1),
    };
    let digits = prompt.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.parse::<u64>().ok()?.checked_mul(times)
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
    fn points_are_in_the_order_of_their_prompts_lengths() {
        let point = |prompt: &str, concurrency| PointKey {
            bench: "chat_throughput".into(),
            prompt: prompt.into(),
            concurrency,
        };
        let order = [
            point("cat", 2),
            point("25", 2),
            point("25", 16),
            point("100", 2),
            point("1k", 2),
            point("random-2000", 2),
        ];
        assert!(order.is_sorted());
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
