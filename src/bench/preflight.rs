//! Checks before any server is booted: no two points share files, and every baseline exists.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::context::RunContext;
use super::criterion::{Mode, NamedBaseline};
use super::point_info::PointInfo;
use crate::config::Metric;
use crate::results::baseline::NameError;
use crate::results::{BaselineName, Baselines, CriterionGroup, PointKey, criterion_directory};

/// Why a run cannot begin, though its configuration is sound.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotBegin {
    /// Two prompts whose files would be the same.
    #[error(
        "the prompts {first:?} and {second:?} of {bench} would be kept in the same files: give one of them another key"
    )]
    SharedPrompt {
        /// The bench.
        bench: String,
        /// A key.
        first: String,
        /// A key that differs in nothing, or only in upper and lower case.
        second: String,
    },
    /// Two deployments or sides whose records would be the same files.
    #[error(
        "the records of {first:?} and {second:?} would be kept in the same files: rename one of them"
    )]
    SharedName {
        /// A name.
        first: String,
        /// A name that differs in nothing, or only in upper and lower case.
        second: String,
    },
    /// Records cannot be called so.
    #[error("the records cannot be kept: {0}")]
    Name(#[from] NameError),
    /// Another Criterion benchmark has files where the run's would be.
    #[error(
        "{id} would be kept in {directory}, where Criterion has kept {other}: rename one of them, or delete the directory"
    )]
    Taken {
        /// The run's own benchmark.
        id: String,
        /// The place.
        directory: String,
        /// Whose files are there.
        other: String,
    },
    /// No benchmark of the run has files of the baseline.
    #[error("{option} {name}: there is no baseline {name} of {bench} in {directory}; {hint}")]
    NoBaseline {
        /// As on the command line.
        option: &'static str,
        /// The baseline.
        name: String,
        /// The bench.
        bench: String,
        /// Criterion's directory.
        directory: String,
        /// Which there are.
        hint: String,
    },
    /// Some benchmarks of the run have no files of the baseline.
    #[error(
        "{option} {name}: the baseline lacks {lacking} of the {all} benchmarks selected, such as {example}; {hint}"
    )]
    PartOfBaseline {
        /// As on the command line.
        option: &'static str,
        /// The baseline.
        name: String,
        /// How many benchmarks it lacks.
        lacking: usize,
        /// How many the command line selects.
        all: usize,
        /// A benchmark that it lacks.
        example: String,
        /// How to fix it.
        hint: String,
    },
}

/// Rejects runs that cannot be measured; `runs` has one run per deployment of a bench, or its only run.
pub(super) fn check(runs: &[RunContext]) -> Result<(), CannotBegin> {
    let Some(first) = runs.first().filter(|s| s.args.mode() != Mode::List) else {
        return Ok(());
    };
    check_prompts(first)?;
    check_names(runs)?;
    let criterion = criterion_directory();
    // Criterion has no part in a run of two deployments in turns.
    for context in runs.iter().filter(|s| s.config.ab.is_none()) {
        check_directories(context, &criterion)?;
        for named in context.args.named_baselines() {
            check_baseline(context, &named, &criterion)?;
        }
    }
    Ok(())
}

fn check_prompts(context: &RunContext) -> Result<(), CannotBegin> {
    let bench = &context.name;
    let point = |key: &str| PointKey {
        bench: bench.clone(),
        prompt: key.to_owned(),
        level: NonZeroUsize::MIN.into(),
    };
    let group = |key: &str| {
        let group = CriterionGroup::new(bench, key, Metric::Rps);
        group.directory.to_lowercase()
    };
    let keys: Vec<&str> = context.prompts.iter().map(|p| p.key.as_str()).collect();
    for (at, first) in keys.iter().enumerate() {
        let alike = |second: &&&str| {
            point(first).shares_files(&point(second)) || group(first) == group(second)
        };
        if let Some(second) = keys[at + 1..].iter().find(alike) {
            return Err(CannotBegin::SharedPrompt {
                bench: bench.clone(),
                first: (*first).to_owned(),
                second: (*second).to_owned(),
            });
        }
    }
    Ok(())
}

fn check_names(runs: &[RunContext]) -> Result<(), CannotBegin> {
    for saved in runs.iter().filter_map(RunContext::saved_name) {
        saved.parse::<BaselineName>()?;
    }
    let names: Vec<String> = runs.iter().flat_map(RunContext::names_written).collect();
    for (at, first) in names.iter().enumerate() {
        BaselineName::or_latest(first)?;
        let alike = |second: &&String| second.to_lowercase() == first.to_lowercase();
        if let Some(second) = names[at + 1..].iter().find(alike) {
            return Err(CannotBegin::SharedName {
                first: first.clone(),
                second: second.clone(),
            });
        }
    }
    Ok(())
}

/// Refuses directories that have files of another benchmark: of a bench and a prompt whose names are
/// divided elsewhere (`chat_a` and `b`, `chat` and `a_b`), or of another program.
fn check_directories(context: &RunContext, criterion: &Path) -> Result<(), CannotBegin> {
    for (point, metric) in benchmarks(context) {
        let group = point.group(metric);
        let directory = criterion.join(point.criterion_path(metric));
        if let Some(other) = kept_in(&directory).find(|other| *other != group.id) {
            return Err(CannotBegin::Taken {
                id: group.id,
                directory: criterion.join(&group.directory).display().to_string(),
                other,
            });
        }
    }
    Ok(())
}

/// The groups of which Criterion has kept a run or a baseline below a benchmark's directory.
fn kept_in(directory: &Path) -> impl Iterator<Item = String> {
    let kept = std::fs::read_dir(directory).into_iter().flatten().flatten();
    kept.filter_map(|kept| {
        let text = std::fs::read(kept.path().join("benchmark.json")).ok()?;
        let json: serde_json::Value = serde_json::from_slice(&text).ok()?;
        Some(json["group_id"].as_str()?.to_owned())
    })
}

fn check_baseline(
    context: &RunContext,
    named: &NamedBaseline<'_>,
    criterion: &Path,
) -> Result<(), CannotBegin> {
    let NamedBaseline {
        option, name, file, ..
    } = *named;
    let all: Vec<(PointInfo<'_>, Metric)> = benchmarks(context).collect();
    let path = |(point, metric): &(PointInfo<'_>, Metric)| -> PathBuf {
        criterion
            .join(point.criterion_path(*metric))
            .join(name)
            .join(file)
    };
    let lacking: Vec<_> = all
        .iter()
        .filter(|benchmark| !path(benchmark).exists())
        .collect();
    match lacking.as_slice() {
        [] => Ok(()),
        lacking if lacking.len() == all.len() => Err(CannotBegin::NoBaseline {
            option,
            name: name.to_owned(),
            bench: context.name.clone(),
            directory: criterion.display().to_string(),
            hint: kept_baselines(context, criterion),
        }),
        [(point, metric), ..] if named.is_strict => Err(CannotBegin::PartOfBaseline {
            option,
            name: name.to_owned(),
            lacking: lacking.len(),
            all: all.len(),
            example: point.id(*metric),
            hint: match option {
                "--baseline" => format!("--baseline-lenient {name} compares what it has"),
                _ => "select only what it has".to_owned(),
            },
        }),
        _ => Ok(()),
    }
}

fn kept_baselines(context: &RunContext, criterion: &Path) -> String {
    let baselines = Baselines::beneath(criterion);
    let names = match baselines.names_of(&context.name) {
        Ok(names) => names,
        Err(error) => return error.to_string(),
    };
    let names: Vec<String> = names
        .into_iter()
        .filter(|name| !name.is_latest())
        .map(|name| name.to_string())
        .collect();
    match names.as_slice() {
        [] => "there is none; keep a run first: --save-baseline NAME".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    }
}

/// The benchmarks that the command line selects.
fn benchmarks(context: &RunContext) -> impl Iterator<Item = (PointInfo<'_>, Metric)> {
    context.selected().flat_map(move |point| {
        let metrics = context.selected_metrics(&point).into_iter();
        metrics.map(move |metric| (point.clone(), metric))
    })
}
