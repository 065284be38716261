use std::cmp::Ordering;
use std::fmt;
use std::path::{Path, PathBuf};

use super::CapacityKey;
use super::file_name::{LONGEST_NAME, file_name, shortened};
use crate::config::Metric;
use crate::level::Level;

/// A benchmark point: what one load measures, and what is compared between runs.
///
/// Points are ordered by bench, length of the prompt and level.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PointKey {
    /// Name of the benchmark (`chat_throughput`).
    pub bench: String,
    /// Key of the prompt (`1k`).
    pub prompt: String,
    /// How hard the servers are loaded.
    pub level: Level,
}

impl Ord for PointKey {
    fn cmp(&self, other: &PointKey) -> Ordering {
        let prompts = by_prompt([&self.bench, &self.prompt], [&other.bench, &other.prompt]);
        prompts.then_with(|| self.level.cmp(&other.level))
    }
}

impl PartialOrd for PointKey {
    fn partial_cmp(&self, other: &PointKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Orders benches and their prompts, by the length of the prompt.
pub(super) fn by_prompt(one: [&str; 2], other: [&str; 2]) -> Ordering {
    let ([bench, prompt], [other_bench, other_prompt]) = (one, other);
    let prompts = || length(prompt).cmp(&length(other_prompt));
    let named = || prompt.cmp(other_prompt);
    bench.cmp(other_bench).then_with(prompts).then_with(named)
}

/// The number in a prompt's key (`25`, `1k`, `random-1000`), by which people sort prompts.
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
        write!(f, "{}/{}", self.bench, self.name_in_bench())
    }
}

impl PointKey {
    /// Its name where the bench is known: `1k c=32`.
    pub fn name_in_bench(&self) -> String {
        format!("{} {}", self.prompt, self.level)
    }

    /// The capacity with its prompt, of which it may be a trial.
    pub fn capacity_key(&self) -> CapacityKey {
        CapacityKey {
            bench: self.bench.clone(),
            prompt: self.prompt.clone(),
        }
    }

    /// Path of the point's record of this name, relative to Criterion's directory:
    /// `servemark/<bench>/<prompt>/c=<n>/<name>.json`.
    pub fn record_path(&self, name: &str) -> PathBuf {
        Path::new(RECORDS)
            .join(file_name(&self.bench))
            .join(file_name(&self.prompt))
            .join(self.level.to_string())
            .join(format!("{name}.json"))
    }

    /// Criterion's directories of the point's metrics for the run or baseline of this name, relative to
    /// Criterion's directory: `<bench>_<prompt>_<metric>/c=<n>/<name>`.
    #[doc(hidden)]
    pub fn criterion_paths(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        self.criterion_directories(None, name)
    }

    /// The same on a deployment: `<bench>_<prompt>_<metric>/<deployment>/c=<n>/<name>`.
    pub(crate) fn criterion_directories(
        &self,
        deployment: Option<&str>,
        name: &str,
    ) -> impl Iterator<Item = PathBuf> {
        Metric::ALL.into_iter().map(move |metric| {
            let group = CriterionGroup::new(&self.bench, &self.prompt, metric);
            let mut directory = PathBuf::from(group.directory);
            directory.extend(deployment);
            directory.join(self.level.to_string()).join(name)
        })
    }

    /// Whether both have the same files: the same point, or names that are equal on a case-insensitive file
    /// system.
    pub(crate) fn shares_files(&self, other: &PointKey) -> bool {
        let place = |point: &PointKey| point.record_path("new").to_string_lossy().to_lowercase();
        place(self) == place(other)
    }
}

/// Names of the Criterion group of one metric of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CriterionGroup {
    /// Its id: `<bench>/<prompt>/<metric>`, with shortened names where Criterion would cut them.
    pub id: String,
    /// Criterion's directory for the id.
    pub directory: String,
}

/// Longest bench and prompt together in a directory's name, beside the longest metric (bytes). Criterion
/// cuts longer names, and several metrics would share a directory.
const LONGEST_NAMES: usize = LONGEST_NAME - "//output_tok_s".len();

/// Minimum that a bench or a prompt has of it (bytes).
const HALF: usize = LONGEST_NAMES / 2;

impl CriterionGroup {
    pub fn new(bench: &str, prompt: &str, metric: Metric) -> CriterionGroup {
        let (mut bench, mut prompt) = (file_name(bench), file_name(prompt));
        if bench.len() + prompt.len() > LONGEST_NAMES {
            prompt = shortened(&prompt, LONGEST_NAMES.saturating_sub(bench.len()).max(HALF));
            bench = shortened(&bench, LONGEST_NAMES - prompt.len());
        }
        CriterionGroup {
            id: format!("{bench}/{prompt}/{}", metric.id()),
            directory: format!("{bench}_{prompt}_{}", metric.id()),
        }
    }
}

/// The directory of run records beside Criterion's own.
pub(super) const RECORDS: &str = "servemark";

#[cfg(test)]
mod tests {
    use super::*;

    fn point(bench: &str, prompt: &str) -> PointKey {
        PointKey {
            bench: bench.into(),
            prompt: prompt.into(),
            level: "c=8".parse().unwrap(),
        }
    }

    #[test]
    fn every_metric_of_every_point_has_its_own_criterion_directory() {
        let keys = [
            "1k".to_owned(),
            "a/b".to_owned(),
            "a_b".to_owned(),
            "a:b".to_owned(),
            String::new(),
            "..".to_owned(),
            "k".repeat(35),
            "k".repeat(36),
            "k".repeat(48),
            "k".repeat(64),
            "k".repeat(70),
            format!("{}l", "k".repeat(69)),
            "ä".repeat(40),
        ];
        let benches = ["chat_throughput".to_owned(), "b".repeat(49), "b".repeat(80)];
        for bench in &benches {
            let mut directories = std::collections::BTreeSet::new();
            for key in &keys {
                let point = point(bench, key);
                for (metric, path) in Metric::ALL.iter().zip(point.criterion_paths("new")) {
                    let group = CriterionGroup::new(bench, key, *metric);
                    assert!(group.directory.len() <= 64, "{group:?}");
                    // As Criterion makes it of the id.
                    assert_eq!(group.id.replace('/', "_"), group.directory);
                    assert!(group.id.ends_with(metric.id()), "{group:?}");
                    assert!(directories.insert(path), "{group:?}");
                }
            }
        }
        let usual = CriterionGroup::new("chat_throughput", "5", Metric::Rps);
        assert_eq!(usual.directory, "chat_throughput_5_rps");
    }

    #[test]
    fn a_directorys_name_leads_to_the_same_files_as_the_key() {
        for key in ["1k", "a/b", "..", "", &"k".repeat(60), &"k".repeat(70)] {
            let of_key = point("chat_throughput", key);
            let of_directory = point("chat_throughput", &file_name(key));
            assert_eq!(of_key.record_path("v1"), of_directory.record_path("v1"));
            assert!(
                of_key
                    .criterion_paths("v1")
                    .eq(of_directory.criterion_paths("v1"))
            );
            assert!(of_key.shares_files(&of_directory));
        }
        assert!(point("b", "Hello").shares_files(&point("b", "hello")));
        assert!(!point("b", "a/b").shares_files(&point("b", "a_b")));
    }

    #[test]
    fn points_are_in_the_order_of_their_prompts_lengths() {
        let point = |prompt: &str, level: &str| PointKey {
            bench: "chat_throughput".into(),
            prompt: prompt.into(),
            level: level.parse().unwrap(),
        };
        let order = [
            point("cat", "c=2"),
            point("25", "c=2"),
            point("25", "c=16"),
            point("100", "c=2"),
            point("1k", "c=2"),
            point("random-2000", "c=2"),
        ];
        assert!(order.is_sorted());
    }

    #[test]
    fn a_point_knows_its_files() {
        let point = PointKey {
            bench: "chat_throughput".into(),
            prompt: "1k".into(),
            level: "c=8".parse().unwrap(),
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
