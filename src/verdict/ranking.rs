//! Ranking several sides by a figure.

use super::blocks::{LogEstimate, estimates};
use super::capacity::ranges;
use super::change::{LogFigure, LogRange, mean_log};
use super::comparable::check;
use super::multiple_testing::adjusted;
use super::{Change, Figure, NotComparable, ResultKey, Verdict};
use crate::results::{CapacityRecord, RunRecord, Setup};

/// A side in one figure.
#[derive(Debug)]
pub struct Contender<'a, R> {
    /// Its name.
    pub name: &'a str,
    /// Its measurement, at any level.
    pub record: &'a R,
    /// Divisor of the figure: 1, or the number of GPUs.
    pub divisor: f64,
}

/// A contender compared with the best.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It is the best.
    Best,
    /// The difference to the best is not significant, or below the threshold.
    Tied(Change),
    /// It is worse.
    Behind(Change),
    /// It does not have the figure.
    NoFigure(NotComparable),
    /// It did different work, for this reason.
    OtherWork(String),
}

/// The contenders from the best on, each with its figure in its unit; contenders without it come last.
#[derive(Debug)]
pub struct Ranking<'a, R>(pub Vec<(Contender<'a, R>, Option<f64>, Standing)>);

/// A record that can be ranked by a figure.
pub trait Ranked {
    /// Its figure in one run.
    type Log: LogFigure;

    /// What it is the record of.
    fn key(&self) -> ResultKey;

    /// How it was measured.
    fn setup(&self) -> Setup<'_>;

    /// Its figure in each of its runs, each logarithm less that of `divisor`.
    ///
    /// # Errors
    /// [`NotComparable`] if it does not have the figure.
    fn figures(&self, figure: Figure, divisor: f64) -> Result<Vec<Self::Log>, NotComparable>;
}

impl Ranked for RunRecord {
    type Log = LogEstimate;

    fn key(&self) -> ResultKey {
        self.point().into()
    }

    fn setup(&self) -> Setup<'_> {
        self.setup()
    }

    fn figures(&self, figure: Figure, divisor: f64) -> Result<Vec<LogEstimate>, NotComparable> {
        let mut runs = estimates(figure, &self.runs(), &self.slo())?;
        for run in &mut runs {
            run.log_value -= divisor.ln();
        }
        Ok(runs)
    }
}

impl Ranked for CapacityRecord {
    type Log = LogRange;

    fn key(&self) -> ResultKey {
        self.key().into()
    }

    fn setup(&self) -> Setup<'_> {
        self.setup()
    }

    fn figures(&self, figure: Figure, divisor: f64) -> Result<Vec<LogRange>, NotComparable> {
        if figure != Figure::Capacity {
            return Err(NotComparable::NotMeasured);
        }
        let mut searches = ranges(std::slice::from_ref(self))?;
        for search in &mut searches {
            search.log_value -= divisor.ln();
        }
        Ok(searches)
    }
}

/// Ranks contenders by a figure. Each is compared with the best like two sides; the p-values of the
/// ranking are adjusted together, and differences below `threshold` (a share) are ties.
pub fn rank<'a, R: Ranked>(
    figure: Figure,
    contenders: impl IntoIterator<Item = Contender<'a, R>>,
    threshold: f64,
) -> Ranking<'a, R> {
    let mut measured = Vec::new();
    let mut last = Vec::new();
    for contender in contenders {
        match contender.record.figures(figure, contender.divisor) {
            Ok(figures) => measured.push((contender, figures)),
            Err(reason) => last.push((contender, None, Standing::NoFigure(reason))),
        }
    }
    let sign = match figure.larger_is_better() {
        true => -1.0,
        false => 1.0,
    };
    measured.sort_by(|(_, a), (_, b)| (sign * mean_log(a)).total_cmp(&(sign * mean_log(b))));
    let mut measured = measured.into_iter();
    let Some((best, of_best)) = measured.next() else {
        return Ranking(last);
    };
    let mut changes = Vec::new();
    for (contender, figures) in measured {
        let (best, record) = (best.record, contender.record);
        match check(&record.key(), &best.setup(), &record.setup()) {
            Ok(()) => {
                let assumed = figure.assumed_between_runs();
                let change = LogFigure::change(&of_best, &figures, assumed);
                changes.push((contender, change));
            }
            Err(why) => {
                let value = Some(mean_log(&figures).exp());
                last.push((contender, value, Standing::OtherWork(why.to_string())));
            }
        }
    }
    let p_values: Vec<f64> = changes.iter().map(|(_, change)| change.p_value).collect();
    let judged = changes.into_iter().zip(adjusted(&p_values));
    let judged = judged.map(|((contender, change), p)| {
        let verdict = Verdict::of(&change, p, threshold, figure.larger_is_better());
        let standing = match verdict {
            Verdict::Regressed => Standing::Behind(change),
            _ => Standing::Tied(change),
        };
        (contender, Some(change.after), standing)
    });
    let best = (best, Some(mean_log(&of_best).exp()), Standing::Best);
    Ranking(std::iter::once(best).chain(judged).chain(last).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Preset;
    use crate::simulation::{VirtualLoad, VirtualSetup, record};

    /// A run whose steps take longer by `slowdown`.
    fn run(seed: u64, slowdown: &str) -> RunRecord {
        let setup = VirtualSetup {
            seeds: seed.into(),
            noise: "step=0.03".parse().unwrap(),
            slowdown: slowdown.parse().unwrap(),
            ..VirtualSetup::new(Preset::named("sim-small").unwrap())
        };
        let mut load = VirtualLoad::start(setup.clone()).unwrap();
        load.window(2);
        let windows = (0..10).map(|_| load.window(4)).collect();
        record(&setup, "deployments", &[windows])
    }

    fn contender<'a>(name: &'a str, record: &'a RunRecord) -> Contender<'a, RunRecord> {
        Contender {
            name,
            record,
            divisor: 1.0,
        }
    }

    #[test]
    fn the_best_comes_first_equals_are_tied_and_the_slow_are_behind() {
        let [slow, quick, same] = [run(1, "20%"), run(2, "0%"), run(3, "0%")];
        for figure in [Figure::TokS, Figure::E2elP50] {
            let contenders = [
                contender("slow", &slow),
                contender("quick", &quick),
                contender("same", &same),
            ];
            let Ranking(ranked) = rank(figure, contenders, 0.03);
            assert_eq!(ranked[0].2, Standing::Best);
            assert!(matches!(ranked[1].2, Standing::Tied(_)), "{ranked:?}");
            assert_eq!(ranked[2].0.name, "slow", "{figure:?}");
            assert!(matches!(ranked[2].2, Standing::Behind(_)), "{ranked:?}");
        }
    }

    #[test]
    fn a_divisor_turns_the_order_round() {
        let [quick, slow] = [run(1, "0%"), run(2, "20%")];
        let per_gpu = [
            Contender {
                divisor: 8.0,
                ..contender("quick", &quick)
            },
            Contender {
                divisor: 4.0,
                ..contender("slow", &slow)
            },
        ];
        let Ranking(ranked) = rank(Figure::TokS, per_gpu, 0.03);
        assert_eq!(ranked[0].0.name, "slow");
        let rate = slow.summary.as_ref().unwrap().output_tok_s.unwrap() / 4.0;
        assert!(
            (ranked[0].1.unwrap() / rate - 1.0).abs() < 0.01,
            "{ranked:?}"
        );
    }

    #[test]
    fn other_work_and_missing_figures_are_not_ranked() {
        let [one, mut other, mut failed] = [run(1, "10%"), run(2, "20%"), run(3, "0%")];
        other.config["MAX_NEW_TOKENS"] = 7.into();
        failed.windows.clear();
        let contenders = [
            contender("failed", &failed),
            contender("other", &other),
            contender("one", &one),
        ];
        let Ranking(ranked) = rank(Figure::TokS, contenders, 0.03);
        let names: Vec<&str> = ranked.iter().map(|(c, _, _)| c.name).collect();
        assert_eq!(names, ["one", "failed", "other"]);
        assert_eq!(ranked[1].2, Standing::NoFigure(NotComparable::NotMeasured));
        let Standing::OtherWork(why) = &ranked[2].2 else {
            panic!("{ranked:?}")
        };
        assert!(why.contains("MAX_NEW_TOKENS"), "{why}");
    }
}
