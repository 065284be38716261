//! Whether a candidate may pass: one outcome from all verdicts.

use super::{
    Comparison, Figure, FigureChange, IncomparableSides, NotComparable, PointComparison, ResultKey,
    RunSet, Thresholds, Verdict, compare,
};

/// The outcome of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateOutcome {
    /// No figure regressed, and every point has verdicts.
    Passed,
    /// A figure regressed, without doubt.
    Regressed,
    /// Nothing regressed without doubt, but not every point or figure has a verdict.
    CouldNotTell,
}

/// A point, a capacity or a figure without a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undetermined {
    /// The point, or whose capacity.
    pub point: ResultKey,
    /// The figure; `None` for the whole point.
    pub figure: Option<Figure>,
    /// The reason.
    pub reason: String,
}

/// A candidate compared with a baseline.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The comparison behind it.
    pub comparison: Comparison,
    /// Points and figures without a verdict.
    pub undetermined: Vec<Undetermined>,
    /// The figures that are gated, with their thresholds.
    pub thresholds: Thresholds,
}

/// Figures that are gated by default, each with its default threshold.
const DEFAULT_FIGURES: [Figure; 7] = [
    Figure::Capacity,
    Figure::TokS,
    Figure::Rps,
    Figure::TtftP50,
    Figure::TpotMean,
    Figure::E2elP50,
    Figure::Failed,
];

impl GateOutcome {
    /// Exit code of the command: 0, 1 or 2.
    pub fn exit_code(self) -> u8 {
        match self {
            GateOutcome::Passed => 0,
            GateOutcome::Regressed => 1,
            GateOutcome::CouldNotTell => 2,
        }
    }
}

impl Gate {
    /// Compares `candidate` with `baseline` in the `requested` figures, or the default ones.
    ///
    /// A requested figure must be measurable; of the default ones at least one must be. With `strict` an
    /// inconclusive figure counts as one without a verdict.
    ///
    /// # Errors
    /// [`IncomparableSides`] as [`compare`].
    pub fn new(
        baseline: &RunSet,
        candidate: &RunSet,
        requested: Option<&Thresholds>,
        strict: bool,
    ) -> Result<Gate, IncomparableSides> {
        let default = || Thresholds::of(DEFAULT_FIGURES);
        let thresholds = requested.cloned().unwrap_or_else(default);
        let comparison = compare(baseline, candidate, &thresholds)?;
        let missing = comparison
            .missing
            .iter()
            .filter(|(point, _)| !candidate.has(point))
            .map(|(point, _)| whole(point, point.missing_in(&candidate.name)));
        let mut undetermined: Vec<Undetermined> = missing.collect();
        for point in &comparison.points {
            undetermined.extend(undetermined_point(point));
            undetermined.extend(undetermined_figures(point, requested, strict));
        }
        Ok(Gate {
            comparison,
            undetermined,
            thresholds,
        })
    }

    /// The outcome. A regression without doubt decides, whatever has no verdict; a regression at a point without
    /// a verdict is doubtful.
    pub fn outcome(&self) -> GateOutcome {
        if self.regressions().next().is_some() {
            GateOutcome::Regressed
        } else if !self.undetermined.is_empty() {
            GateOutcome::CouldNotTell
        } else {
            GateOutcome::Passed
        }
    }

    /// Figures that regressed without doubt.
    pub fn regressions(&self) -> impl Iterator<Item = (&PointComparison, &FigureChange)> {
        self.comparison.figure_changes().filter(|(point, entry)| {
            // That more requests failed is certain, whatever it means for the other figures.
            let is_sure = match entry.figure {
                Figure::Failed => point.doubts.is_empty(),
                _ => self.doubt(&point.point).is_none(),
            };
            entry.verdict == Verdict::Regressed && is_sure
        })
    }

    /// Why the whole point has no verdict, if it has none.
    pub fn doubt(&self, point: &ResultKey) -> Option<&Undetermined> {
        let whole = |undetermined: &&Undetermined| {
            undetermined.figure.is_none() && undetermined.point == *point
        };
        self.undetermined.iter().find(whole)
    }

    /// Why a figure has no verdict, because of its point or itself.
    pub fn undetermined(&self, point: &ResultKey, figure: Figure) -> Option<&Undetermined> {
        let own = |undetermined: &&Undetermined| {
            undetermined.figure == Some(figure) && undetermined.point == *point
        };
        self.doubt(point)
            .or_else(|| self.undetermined.iter().find(own))
    }

    /// The largest regression that an inconclusive figure may hide, as a share, with its point and figure;
    /// without points that have no verdict anyway.
    pub fn hidden(&self) -> Option<(f64, &PointComparison, &FigureChange)> {
        let inconclusive = self
            .comparison
            .figure_changes()
            .filter_map(|(point, entry)| {
                let change = entry.change.as_ref().ok()?;
                let worst = match entry.figure.larger_is_better() {
                    true => -change.interval.0,
                    false => change.interval.1,
                };
                let hides = entry.verdict == Verdict::Inconclusive
                    && worst > entry.threshold
                    && self.doubt(&point.point).is_none();
                hides.then_some((worst, point, entry))
            });
        inconclusive.max_by(|a, b| a.0.total_cmp(&b.0))
    }
}

fn whole(point: &ResultKey, reason: String) -> Undetermined {
    Undetermined {
        point: point.clone(),
        figure: None,
        reason,
    }
}

/// Why the whole point has no verdict, if so.
fn undetermined_point(comparison: &PointComparison) -> Option<Undetermined> {
    let point = &comparison.point;
    if !comparison.doubts.is_empty() {
        return Some(whole(point, comparison.doubts.join("; ")));
    }
    // The other figures are of the successful requests: with more failures they mean something else.
    let [before, after] = comparison.failed;
    if after > before + Figure::Failed.default_threshold() {
        let (before, after) = (100.0 * before, 100.0 * after);
        let reason = format!("{after:.1} % of its requests failed, {before:.1} % before");
        return Some(whole(point, reason));
    }
    let of_successes = || {
        comparison
            .figure_changes
            .iter()
            .filter(|f| !f.figure.is_share())
    };
    if comparison.figure_changes.is_empty() {
        return Some(whole(point, "no figure is defined".to_owned()));
    }
    // The first reason is given for all, unless a figure is measured.
    let why = of_successes().find_map(|f| f.change.as_ref().err())?;
    let any = of_successes().any(|f| f.change.is_ok());
    (!any).then(|| whole(point, why.to_string()))
}

/// Requested figures of the point that cannot be measured; with `strict` all inconclusive ones.
fn undetermined_figures(
    comparison: &PointComparison,
    requested: Option<&Thresholds>,
    strict: bool,
) -> Vec<Undetermined> {
    let of = |figure: Figure, reason: String| Undetermined {
        point: comparison.point.clone(),
        figure: Some(figure),
        reason,
    };
    let found = |figure: Figure| {
        comparison
            .figure_changes
            .iter()
            .find(|f| f.figure == figure)
    };
    let undefined = requested
        .into_iter()
        .flat_map(|requested| requested.of_result(&comparison.point))
        .filter(|(figure, _)| found(*figure).is_none())
        .map(|(figure, _)| of(figure, NotComparable::NotMeasured.to_string()));
    let reason = comparison.figure_changes.iter().filter_map(|entry| {
        let reason = match &entry.change {
            Err(reason) if strict || requested.is_some() => reason.to_string(),
            Ok(_) if strict && entry.verdict == Verdict::Inconclusive => match entry.withheld {
                Some(withheld) => format!("inconclusive: {withheld}"),
                None => "inconclusive: the interval is too wide".to_owned(),
            },
            _ => return None,
        };
        Some(of(entry.figure, reason))
    });
    undefined.chain(reason).collect()
}
