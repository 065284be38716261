use super::blocks::{BlockSeries, estimates};
use super::capacity::{Searches, compare_capacity};
use super::caveats::Caveats;
use super::change::{between, interleaved};
use super::comparable::differences;
use super::failures::{self, Failures};
use super::multiple_testing::adjusted;
use super::point_side::PointSide;
use super::shared_results::{check_all, common, missing};
use super::{
    Change, Difference, Figure, IncomparableSides, NotComparable, PointKey, ResultKey, RunSet,
    Thresholds, Verdict,
};
use crate::config::Slo;
use crate::load::Window;
use crate::results::RunRecord;

/// One figure of one point.
#[derive(Clone, Debug)]
pub struct FigureChange {
    /// Which figure.
    pub figure: Figure,
    /// Smallest relative change that matters.
    pub threshold: f64,
    /// The change, or why it cannot be compared.
    pub change: Result<Change, NotComparable>,
    /// The change's p-value, adjusted over the whole comparison; `None` without a change.
    pub adjusted_p: Option<f64>,
    /// The verdict.
    pub verdict: Verdict,
    /// Why the verdict from its numbers alone is withheld, if it is.
    pub withheld: Option<Withheld>,
    /// What the sides found, before and after, if the figure has an interval on each side.
    pub values: Option<[String; 2]>,
}

/// Why a verdict is withheld, however large the change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    /// The figures of the successful requests improve if others fail.
    #[error("more requests failed than before")]
    MoreFailed,
    /// Longer or shorter prompts or answers are different work.
    #[error("prompts or answers differ in length")]
    OtherLengths,
}

/// One point of both sides, or one capacity.
#[derive(Clone, Debug)]
pub struct PointComparison {
    /// Which point, or whose capacity.
    pub point: ResultKey,
    /// Number of runs before and after.
    pub runs: (usize, usize),
    /// Whether both sides were measured in turns.
    pub interleaved: bool,
    /// Reasons to doubt every verdict: a side is partial, client-bound or has no success, both are the same run,
    /// or they did different work. A reason about one side starts with its name.
    pub doubts: Vec<String>,
    /// Other warnings: failures, answers that contradict themselves.
    pub warnings: Vec<String>,
    /// Share of the requests that failed, before and after.
    pub failed: [f64; 2],
    /// Whether prompts or answers differ so much in length that the sides did different work.
    pub has_other_lengths: bool,
    /// The figures.
    pub figure_changes: Vec<FigureChange>,
}

/// Two sides, compared.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Name of the side before.
    pub before: String,
    /// Name of the side after.
    pub after: String,
    /// What the servers simulate; `None` for real ones.
    pub simulated: Option<String>,
    /// Whether the certificates of a side's servers were not verified.
    pub insecure: bool,
    /// What differs between the sides.
    pub differences: Vec<Difference>,
    /// Warnings about a side as a whole; each starts with its name.
    pub warnings: Vec<String>,
    /// The points and capacities of both sides.
    pub points: Vec<PointComparison>,
    /// Points and capacities that only one side has, with the name of the other.
    pub missing: Vec<(ResultKey, String)>,
}

impl Comparison {
    /// All figures with their points.
    pub fn figure_changes(&self) -> impl Iterator<Item = (&PointComparison, &FigureChange)> {
        let points = self.points.iter();
        points.flat_map(|point| point.figure_changes.iter().map(move |entry| (point, entry)))
    }

    /// Number of figures with this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.figure_changes()
            .filter(|(_, f)| f.verdict == verdict)
            .count()
    }
}

/// Compares two sides in the figures of `thresholds`.
///
/// # Errors
/// [`IncomparableSides`] if a side is empty, the sides share no point, or the servers, models or workloads of a
/// point differ.
pub fn compare(
    before: &RunSet,
    after: &RunSet,
    thresholds: &Thresholds,
) -> Result<Comparison, IncomparableSides> {
    let mut comparison = measure(before, after, thresholds)?;
    judge([&mut comparison]);
    Ok(comparison)
}

/// Compares the two sides of each pair; all p-values are adjusted together.
///
/// # Errors
/// [`IncomparableSides`] for the first pair that cannot be compared, as [`compare`].
pub fn compare_pairs<'a>(
    pairs: impl IntoIterator<Item = (&'a RunSet, &'a RunSet)>,
    thresholds: &Thresholds,
) -> Result<Vec<Comparison>, IncomparableSides> {
    let pairs = pairs.into_iter();
    let comparisons = pairs.map(|(before, after)| measure(before, after, thresholds));
    let mut comparisons: Vec<Comparison> = comparisons.collect::<Result<_, _>>()?;
    judge(&mut comparisons);
    Ok(comparisons)
}

/// All changes between two sides, before any verdict.
fn measure(
    before: &RunSet,
    after: &RunSet,
    thresholds: &Thresholds,
) -> Result<Comparison, IncomparableSides> {
    let (mut points, mut lengths) = (Vec::new(), Vec::new());
    for result in common(before, after, thresholds)? {
        check_all(&result, before, after)?;
        let (point, differences) = match &result {
            ResultKey::Point(point) => {
                let [before, after] = [before, after].map(|set| PointSide::of(set, point));
                let mut caveats = Caveats::of(&before, &after);
                let differences = std::mem::take(&mut caveats.lengths);
                let point = compare_point(point, [&before, &after], caveats, thresholds);
                (point, differences)
            }
            ResultKey::Capacity(capacity) => {
                let sides = [before, after].map(|set| Searches::of(set, capacity));
                let mut thresholds = thresholds.of_result(&result);
                let threshold = thresholds.next().map(|(_, threshold)| threshold);
                compare_capacity(capacity, sides, threshold)
            }
        };
        points.push(point);
        lengths.extend(differences.into_iter().map(|mut difference| {
            difference.what = format!("{} ({result})", difference.what);
            difference
        }));
    }
    let mut differences = differences(before, after);
    differences.extend(lengths);
    Ok(Comparison {
        before: before.name.clone(),
        after: after.name.clone(),
        simulated: before.simulated().map(str::to_owned),
        insecure: before.insecure() || after.insecure(),
        differences,
        warnings: [before, after]
            .into_iter()
            .filter_map(RunSet::time_gap)
            .collect(),
        points,
        missing: missing(before, after, thresholds)
            .chain(missing(after, before, thresholds))
            .collect(),
    })
}

fn compare_point(
    point: &PointKey,
    [before, after]: [&PointSide<'_>; 2],
    caveats: Caveats,
    thresholds: &Thresholds,
) -> PointComparison {
    let interleaved = interleaves(before.records, after.records);
    let slo = before.records[0].slo();
    let mut records = before.records.iter().chain(after.records);
    let same_slo = records.all(|record| record.slo() == slo);
    let failures = [&before.failures, &after.failures];
    let failed = failures.map(Failures::share);
    let none_failed = failed == [0.0, 0.0];
    let (before, after) = (&before.runs, &after.runs);
    let entry = |(figure, threshold): (Figure, f64)| {
        let change = match figure {
            Figure::Goodput if !same_slo => Err(NotComparable::OtherSlo),
            Figure::Failed => {
                let change = failures::change(failures[0], failures[1]);
                change.ok_or(NotComparable::NotMeasured)
            }
            // A failed point has no run.
            _ if before.is_empty() || after.is_empty() => Err(NotComparable::NotMeasured),
            _ if interleaved => change_in_turns(figure, before, after, &slo),
            _ => change(figure, before, after, &slo),
        };
        FigureChange {
            figure,
            threshold,
            change,
            adjusted_p: None,
            // If no request failed on either side there is nothing to test.
            verdict: match figure.is_share() && none_failed {
                true => Verdict::Unchanged,
                false => Verdict::Inconclusive,
            },
            withheld: None,
            values: None,
        }
    };
    let result = ResultKey::from(point.clone());
    PointComparison {
        runs: (before.len(), after.len()),
        interleaved,
        failed,
        has_other_lengths: caveats.has_other_lengths,
        doubts: caveats.doubts,
        warnings: caveats.warnings,
        // Without objectives goodput is left out.
        figure_changes: thresholds
            .of_result(&result)
            .filter(|(figure, _)| *figure != Figure::Goodput || !slo.is_empty() || !same_slo)
            .map(entry)
            .collect(),
        point: result,
    }
}

/// Whether one process measured both sides in turns.
fn interleaves(before: &[RunRecord], after: &[RunRecord]) -> bool {
    let session = |record: &RunRecord| record.interleaved.clone();
    before.len() == after.len()
        && before
            .iter()
            .zip(after)
            .all(|(before, after)| session(before).is_some() && session(before) == session(after))
}

fn change(
    figure: Figure,
    before: &[Vec<Window>],
    after: &[Vec<Window>],
    slo: &Slo,
) -> Result<Change, NotComparable> {
    Ok(between(
        &estimates(figure, before, slo)?,
        &estimates(figure, after, slo)?,
        figure.assumed_between_runs(),
    ))
}

fn change_in_turns(
    figure: Figure,
    before: &[Vec<Window>],
    after: &[Vec<Window>],
    slo: &Slo,
) -> Result<Change, NotComparable> {
    let (mut befores, mut ratios) = (Vec::new(), Vec::new());
    for (before, after) in before.iter().zip(after) {
        let pair = BlockSeries::pair(figure, [before, after], slo)?;
        befores.push(pair[0].estimate());
        ratios.push(BlockSeries::estimate_ratio(&pair));
    }
    Ok(interleaved(
        &befores,
        &ratios,
        figure.assumed_between_runs(),
    ))
}

/// Adjusts all p-values together, and sets the verdicts.
fn judge<'a>(comparisons: impl IntoIterator<Item = &'a mut Comparison>) {
    let mut points: Vec<&mut PointComparison> = comparisons
        .into_iter()
        .flat_map(|comparison| &mut comparison.points)
        .collect();
    let figure_changes = points
        .iter_mut()
        .flat_map(|point| &mut point.figure_changes);
    let is_tested = |f: &&mut FigureChange| f.change.is_ok() && f.verdict == Verdict::Inconclusive;
    let mut figure_changes: Vec<&mut FigureChange> = figure_changes.filter(is_tested).collect();
    let p_values: Vec<f64> = figure_changes
        .iter()
        .filter_map(|entry| Some(entry.change.as_ref().ok()?.p_value))
        .collect();
    for (entry, adjusted_p) in figure_changes.iter_mut().zip(adjusted(&p_values)) {
        if let Ok(change) = &entry.change {
            entry.verdict = Verdict::of(
                change,
                adjusted_p,
                entry.threshold,
                entry.figure.larger_is_better(),
            );
            entry.adjusted_p = Some(adjusted_p);
        }
    }
    points.into_iter().for_each(withhold);
}

/// Withholds the verdicts that the figures of the successful requests alone do not justify.
fn withhold(point: &mut PointComparison) {
    let more_failed = point.failed[1] > point.failed[0];
    for entry in point
        .figure_changes
        .iter_mut()
        .filter(|f| !f.figure.is_share())
    {
        let withheld = match entry.verdict {
            Verdict::Regressed | Verdict::Improved if point.has_other_lengths => {
                Withheld::OtherLengths
            }
            Verdict::Improved if more_failed => Withheld::MoreFailed,
            _ => continue,
        };
        entry.verdict = Verdict::Inconclusive;
        entry.withheld = Some(withheld);
    }
}

#[cfg(test)]
mod tests;
