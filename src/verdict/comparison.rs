use super::about::About;
use super::change::{between, interleaved};
use super::comparable::{check, differences};
use super::failures::{self, Failures};
use super::family::adjusted;
use super::point_side::PointSide;
use super::series::{Estimate, Series};
use super::{
    Change, Difference, Figure, Incomparable, PointKey, RunSet, Thresholds, Unclear, Verdict,
};
use crate::config::Slo;
use crate::load::Window;
use crate::results::RunRecord;

/// One figure of one point.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which figure.
    pub figure: Figure,
    /// From what relative change on it matters.
    pub threshold: f64,
    /// The change, or why there is none.
    pub change: Result<Change, Unclear>,
    /// The change's p-value among all of the comparison; `None` without a change.
    pub adjusted_p: Option<f64>,
    /// What follows.
    pub verdict: Verdict,
    /// Why the verdict that its numbers alone would give is not given.
    pub withheld: Option<Withheld>,
}

/// Why a change is called none, however large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    /// Throughput and latency of the successful requests improve while others fail.
    #[error("more requests failed than before")]
    MoreFailed,
    /// Longer or shorter prompts or answers are other work.
    #[error("prompts or answers have other lengths")]
    OtherLengths,
}

/// One point of both sides.
#[derive(Clone, Debug)]
pub struct PointComparison {
    /// Which point.
    pub point: PointKey,
    /// Runs before and after.
    pub runs: (usize, usize),
    /// Whether both sides were measured in turns.
    pub interleaved: bool,
    /// Why no verdict is sure: a side was limited by its client or has no success, both are the same run, or
    /// did other work. Where it is of one side, its name comes first.
    pub doubts: Vec<String>,
    /// What else a reader must know whatever the figures say: failures, answers that contradict themselves.
    pub warnings: Vec<String>,
    /// Share of the requests that failed, before and after.
    pub failed: [f64; 2],
    /// Whether prompts or answers of the sides differ in length by so much that they are other work.
    pub has_other_lengths: bool,
    /// The figures.
    pub findings: Vec<Finding>,
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
    /// What a reader must know of a side as a whole; each begins with its name.
    pub warnings: Vec<String>,
    /// The points that both sides have.
    pub points: Vec<PointComparison>,
    /// Points that only one side has, and which.
    pub missing: Vec<(PointKey, String)>,
}

impl Comparison {
    /// Every finding with its point.
    pub fn findings(&self) -> impl Iterator<Item = (&PointComparison, &Finding)> {
        let points = self.points.iter();
        points.flat_map(|point| point.findings.iter().map(move |finding| (point, finding)))
    }

    /// Findings with this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings()
            .filter(|(_, f)| f.verdict == verdict)
            .count()
    }
}

/// Compares two sides in the figures that `thresholds` names.
///
/// # Errors
/// [`Incomparable`] where a side is empty, the sides share no point, or a point is of another kind of
/// server, another model or another workload.
pub fn compare(
    before: &RunSet,
    after: &RunSet,
    thresholds: &Thresholds,
) -> Result<Comparison, Incomparable> {
    let mut comparison = measure(before, after, thresholds)?;
    judge([&mut comparison]);
    Ok(comparison)
}

/// Compares the two sides of each pair; all p-values are adjusted together, as one family.
///
/// # Errors
/// [`Incomparable`] as [`compare`], for the first pair that has nothing to compare.
pub fn compare_pairs<'a>(
    pairs: impl IntoIterator<Item = (&'a RunSet, &'a RunSet)>,
    thresholds: &Thresholds,
) -> Result<Vec<Comparison>, Incomparable> {
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
) -> Result<Comparison, Incomparable> {
    let (mut points, mut lengths) = (Vec::new(), Vec::new());
    for (point, first, second) in common(before, after)? {
        for record in first.iter().chain(second) {
            check(point, &first[0], record)?;
        }
        let before = PointSide::new(&before.name, first);
        let after = PointSide::new(&after.name, second);
        let about = About::of(&before, &after);
        lengths.extend(about.lengths.iter().cloned().map(|mut difference| {
            difference.what = format!("{} ({point})", difference.what);
            difference
        }));
        points.push(compare_point(point, [&before, &after], about, thresholds));
    }
    let simulated = before.records().find_map(|record| record.simulated.clone());
    let mut differences = differences(before, after);
    differences.extend(lengths);
    Ok(Comparison {
        before: before.name.clone(),
        after: after.name.clone(),
        simulated,
        insecure: [before, after]
            .iter()
            .any(|side| side.records().any(RunRecord::insecure)),
        differences,
        warnings: [before, after]
            .into_iter()
            .filter_map(RunSet::time_gap)
            .collect(),
        points,
        missing: missing(before, after)
            .chain(missing(after, before))
            .collect(),
    })
}

type Common<'a> = Vec<(&'a PointKey, &'a [RunRecord], &'a [RunRecord])>;

fn common<'a>(before: &'a RunSet, after: &'a RunSet) -> Result<Common<'a>, Incomparable> {
    let first = |set: &'a RunSet| {
        set.points()
            .keys()
            .next()
            .ok_or_else(|| Incomparable::Empty {
                side: set.name.clone(),
            })
    };
    let (first, second) = (first(before)?, first(after)?);
    let both = before.points().iter().filter_map(|(point, records)| {
        let others = after.points().get(point)?;
        Some((point, records.as_slice(), others.as_slice()))
    });
    let both: Common<'a> = both.collect();
    match both.is_empty() {
        false => Ok(both),
        true => Err(Incomparable::NoCommonPoint {
            before: before.name.clone(),
            after: after.name.clone(),
            first: first.to_string(),
            second: second.to_string(),
        }),
    }
}

/// Points that `set` has and `other` has not, with the name of `other`.
fn missing<'a>(set: &'a RunSet, other: &'a RunSet) -> impl Iterator<Item = (PointKey, String)> {
    let lacks = |point: &&PointKey| !other.points().contains_key(*point);
    let points = set.points().keys().filter(lacks);
    points.map(|point| (point.clone(), other.name.clone()))
}

fn compare_point(
    point: &PointKey,
    [before, after]: [&PointSide<'_>; 2],
    about: About,
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
    let finding = |(figure, threshold): (Figure, f64)| {
        let change = match figure {
            Figure::Goodput if !same_slo => Err(Unclear::OtherSlo),
            Figure::Failed => {
                let change = failures::change(failures[0], failures[1]);
                change.ok_or(Unclear::NotMeasured)
            }
            // A point that failed has no run.
            _ if before.is_empty() || after.is_empty() => Err(Unclear::NotMeasured),
            _ if interleaved => change_in_turns(figure, before, after, &slo),
            _ => change(figure, before, after, &slo),
        };
        Finding {
            figure,
            threshold,
            change,
            adjusted_p: None,
            // Where no request failed on either side there is nothing to test.
            verdict: match figure.is_share() && none_failed {
                true => Verdict::Unchanged,
                false => Verdict::Inconclusive,
            },
            withheld: None,
        }
    };
    PointComparison {
        point: point.clone(),
        runs: (before.len(), after.len()),
        interleaved,
        failed,
        has_other_lengths: about.has_other_lengths,
        doubts: about.doubts,
        warnings: about.warnings,
        // Without objectives there is no goodput, and nothing to say of it.
        findings: thresholds
            .iter()
            .filter(|(figure, _)| *figure != Figure::Goodput || !slo.is_empty() || !same_slo)
            .map(finding)
            .collect(),
    }
}

/// Whether the records of both sides were taken in turns by one process.
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
) -> Result<Change, Unclear> {
    let estimates = |runs: &[Vec<Window>]| -> Result<Vec<Estimate>, Unclear> {
        let estimate = |windows: &Vec<Window>| Ok(Series::of(figure, windows, slo)?.estimate());
        runs.iter().map(estimate).collect()
    };
    Ok(between(
        &estimates(before)?,
        &estimates(after)?,
        figure.assumed_between_runs(),
    ))
}

fn change_in_turns(
    figure: Figure,
    before: &[Vec<Window>],
    after: &[Vec<Window>],
    slo: &Slo,
) -> Result<Change, Unclear> {
    let (mut befores, mut ratios) = (Vec::new(), Vec::new());
    for (before, after) in before.iter().zip(after) {
        let pair = Series::pair(figure, [before, after], slo)?;
        befores.push(pair[0].estimate());
        ratios.push(Series::estimate_ratio(&pair));
    }
    Ok(interleaved(
        &befores,
        &ratios,
        figure.assumed_between_runs(),
    ))
}

/// Adjusts all p-values together, and takes the verdicts.
fn judge<'a>(comparisons: impl IntoIterator<Item = &'a mut Comparison>) {
    let mut points: Vec<&mut PointComparison> = comparisons
        .into_iter()
        .flat_map(|comparison| &mut comparison.points)
        .collect();
    let findings = points.iter_mut().flat_map(|point| &mut point.findings);
    let is_tested = |f: &&mut Finding| f.change.is_ok() && f.verdict == Verdict::Inconclusive;
    let mut findings: Vec<&mut Finding> = findings.filter(is_tested).collect();
    let p_values: Vec<f64> = findings
        .iter()
        .filter_map(|finding| Some(finding.change.as_ref().ok()?.p_value))
        .collect();
    for (finding, adjusted_p) in findings.iter_mut().zip(adjusted(&p_values)) {
        if let Ok(change) = &finding.change {
            finding.verdict = Verdict::of(
                change,
                adjusted_p,
                finding.threshold,
                finding.figure.larger_is_better(),
            );
            finding.adjusted_p = Some(adjusted_p);
        }
    }
    points.into_iter().for_each(withhold);
}

/// Takes back the verdicts that do not follow from the figures of the successful requests alone.
fn withhold(point: &mut PointComparison) {
    let more_failed = point.failed[1] > point.failed[0];
    for finding in point.findings.iter_mut().filter(|f| !f.figure.is_share()) {
        let withheld = match finding.verdict {
            Verdict::Regressed | Verdict::Improved if point.has_other_lengths => {
                Withheld::OtherLengths
            }
            Verdict::Improved if more_failed => Withheld::MoreFailed,
            _ => continue,
        };
        finding.verdict = Verdict::Inconclusive;
        finding.withheld = Some(withheld);
    }
}

#[cfg(test)]
mod tests;
