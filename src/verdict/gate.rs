//! Whether a candidate may pass: one answer from all verdicts.

use super::{
    Comparison, Figure, Finding, Incomparable, PointComparison, PointKey, RunSet, Thresholds,
    Unclear, Verdict, compare,
};

/// What a gate answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No figure regressed, and every point could be told.
    Passed,
    /// A figure regressed for sure.
    Regressed,
    /// Nothing regressed for sure, but not everything could be told.
    CouldNotTell,
}

/// Something that could not be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Which point.
    pub point: PointKey,
    /// Which figure; `None` for all of the point.
    pub figure: Option<Figure>,
    /// Why.
    pub reason: String,
}

/// A candidate held against a baseline.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The comparison behind it.
    pub comparison: Comparison,
    /// What could not be told.
    pub unknown: Vec<Unknown>,
    /// What was gated, and from what change on.
    pub thresholds: Thresholds,
}

/// What is gated where nothing is asked for, each at the usual threshold.
const DEFAULT_FIGURES: [Figure; 6] = [
    Figure::TokS,
    Figure::Rps,
    Figure::TtftP50,
    Figure::TpotMean,
    Figure::E2elP50,
    Figure::Failed,
];

impl Outcome {
    /// Exit code of the command: 0, 1 or 2.
    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Passed => 0,
            Outcome::Regressed => 1,
            Outcome::CouldNotTell => 2,
        }
    }
}

impl Gate {
    /// Holds `candidate` against `baseline` in the figures `asked` for, or the default ones.
    ///
    /// A figure that was asked for must be measurable, a default one need not be, as long as any is.
    /// With `strict` an inconclusive figure is one that could not be told.
    ///
    /// # Errors
    /// [`Incomparable`] as [`compare`].
    pub fn hold(
        baseline: &RunSet,
        candidate: &RunSet,
        asked: Option<&Thresholds>,
        strict: bool,
    ) -> Result<Gate, Incomparable> {
        let default = || Thresholds::of(DEFAULT_FIGURES);
        let thresholds = asked.cloned().unwrap_or_else(default);
        let comparison = compare(baseline, candidate, &thresholds)?;
        let missing = comparison
            .missing
            .iter()
            .filter(|(point, _)| !candidate.points().contains_key(point))
            .map(|(point, _)| whole(point, format!("{} has not measured it", candidate.name)));
        let mut unknown: Vec<Unknown> = missing.collect();
        for point in &comparison.points {
            unknown.extend(unknown_point(point));
            unknown.extend(unknown_figures(point, asked, strict));
        }
        Ok(Gate {
            comparison,
            unknown,
            thresholds,
        })
    }

    /// The answer. A sure regression is one, whatever else could not be told; one of a point that could
    /// not be told as a whole is not sure.
    pub fn outcome(&self) -> Outcome {
        if self.regressions().next().is_some() {
            Outcome::Regressed
        } else if !self.unknown.is_empty() {
            Outcome::CouldNotTell
        } else {
            Outcome::Passed
        }
    }

    /// Figures that regressed for sure.
    pub fn regressions(&self) -> impl Iterator<Item = (&PointComparison, &Finding)> {
        self.comparison.findings().filter(|(point, finding)| {
            // That more requests failed is sure, whatever it makes of the other figures.
            let is_sure = match finding.figure {
                Figure::Failed => point.doubts.is_empty(),
                _ => self.doubt(&point.point).is_none(),
            };
            finding.verdict == Verdict::Regressed && is_sure
        })
    }

    /// Why no figure of the point can be told, if none can.
    pub fn doubt(&self, point: &PointKey) -> Option<&Unknown> {
        let whole = |unknown: &&Unknown| unknown.figure.is_none() && unknown.point == *point;
        self.unknown.iter().find(whole)
    }

    /// Why a figure could not be told, be it for its point or for itself.
    pub fn unknown(&self, point: &PointKey, figure: Figure) -> Option<&Unknown> {
        let own = |unknown: &&Unknown| unknown.figure == Some(figure) && unknown.point == *point;
        self.doubt(point).or_else(|| self.unknown.iter().find(own))
    }

    /// The largest regression that an inconclusive figure may still hide, as a share, and where; but for
    /// points that could not be told anyway.
    pub fn hidden(&self) -> Option<(f64, &PointComparison, &Finding)> {
        let inconclusive = self.comparison.findings().filter_map(|(point, finding)| {
            let change = finding.change.as_ref().ok()?;
            let worst = match finding.figure.larger_is_better() {
                true => -change.interval.0,
                false => change.interval.1,
            };
            let hides = finding.verdict == Verdict::Inconclusive
                && worst > finding.threshold
                && self.doubt(&point.point).is_none();
            hides.then_some((worst, point, finding))
        });
        inconclusive.max_by(|a, b| a.0.total_cmp(&b.0))
    }
}

fn whole(point: &PointKey, reason: String) -> Unknown {
    Unknown {
        point: point.clone(),
        figure: None,
        reason,
    }
}

/// Why nothing of the point can be told.
fn unknown_point(comparison: &PointComparison) -> Option<Unknown> {
    let point = &comparison.point;
    if !comparison.doubts.is_empty() {
        return Some(whole(point, comparison.doubts.join("; ")));
    }
    // The figures are of the successful requests: with fewer of those they mean something else.
    let [before, after] = comparison.failed;
    if after > before + Figure::Failed.default_threshold() {
        let (before, after) = (100.0 * before, 100.0 * after);
        let reason = format!("{after:.1} % of its requests failed, {before:.1} % before");
        return Some(whole(point, reason));
    }
    let of_successes = || comparison.findings.iter().filter(|f| !f.figure.is_share());
    if comparison.findings.is_empty() {
        return Some(whole(point, "no figure is defined".to_owned()));
    }
    // One reason stands for all, unless a figure is measured.
    let why = of_successes().find_map(|f| f.change.as_ref().err())?;
    let any = of_successes().any(|f| f.change.is_ok());
    (!any).then(|| whole(point, why.to_string()))
}

/// Figures of the point that were asked for and cannot be measured; with `strict` all inconclusive ones.
fn unknown_figures(
    comparison: &PointComparison,
    asked: Option<&Thresholds>,
    strict: bool,
) -> Vec<Unknown> {
    let of = |figure: Figure, reason: String| Unknown {
        point: comparison.point.clone(),
        figure: Some(figure),
        reason,
    };
    let found = |figure: Figure| comparison.findings.iter().find(|f| f.figure == figure);
    let undefined = asked
        .into_iter()
        .flat_map(Thresholds::iter)
        .filter(|(figure, _)| found(*figure).is_none())
        .map(|(figure, _)| of(figure, Unclear::NotMeasured.to_string()));
    let unclear = comparison.findings.iter().filter_map(|finding| {
        let reason = match &finding.change {
            Err(unclear) if strict || asked.is_some() => unclear.to_string(),
            Ok(_) if strict && finding.verdict == Verdict::Inconclusive => match finding.withheld {
                Some(withheld) => format!("inconclusive: {withheld}"),
                None => "inconclusive: the interval is too wide".to_owned(),
            },
            _ => return None,
        };
        Some(of(finding.figure, reason))
    });
    undefined.chain(unclear).collect()
}
