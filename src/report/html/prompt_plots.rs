//! Plots of one prompt over its levels.

use super::run_facts::why_no_tokens;
use super::view::PointView;
use crate::config::Slo;
use crate::level::Level;
use crate::metrics::{Distribution, Percentile};
use crate::report::columns::SummaryLatency;
use crate::report::plot::{Curve, CurveAt, ParetoCurve, Plot, against_level, pareto};
use crate::verdict::{Estimate, NotComparable};

/// The points of a prompt, and those of the baseline.
pub(super) struct Levels<'a> {
    pub points: &'a [PointView<'a>],
    pub before: Vec<&'a PointView<'a>>,
    /// Name of the baseline.
    pub baseline: String,
}

/// The latencies of a summary: short name, long name, and accessor.
const LATENCIES: [(&str, &str, SummaryLatency); 3] = [
    ("TTFT", "Time to first token (TTFT)", |s| s.ttft_ms),
    ("TPOT", "Time per output token (TPOT)", |s| s.tpot_ms),
    ("E2EL", "End-to-end latency (E2EL)", |s| s.e2el_ms),
];

/// The percentiles that are drawn, each as a curve.
const PERCENTILES: [Percentile; 5] = [
    Percentile::P50,
    Percentile::P90,
    Percentile::P95,
    Percentile::P99,
    Percentile::P99_9,
];

/// Series of the baseline, different from all other curves.
const BASELINE: usize = 6;

impl Levels<'_> {
    /// Plots of throughput, latencies, and throughput against latency.
    pub fn plots(&self) -> Vec<Plot> {
        let mut plots = vec![self.throughput(), self.requests()];
        plots.extend(LATENCIES.map(|(name, words, latency)| self.latency(name, words, latency)));
        plots.extend(self.frontiers());
        plots
    }

    fn levels(&self) -> Vec<Level> {
        let points = self.points.iter().chain(self.before.iter().copied());
        let mut levels: Vec<Level> = points.map(|point| point.key.level).collect();
        levels.sort_unstable();
        levels.dedup();
        levels
    }

    fn title(&self, words: &str) -> String {
        let quantity = self.points.first().map(|point| point.key.level.quantity());
        format!("{words} against {}", quantity.unwrap_or("level"))
    }

    /// GPUs behind the endpoints, if known.
    fn gpus(&self) -> Option<f64> {
        let mut gpus = self.points.iter().filter_map(|point| point.row.num_gpu);
        gpus.next_back().map(f64::from)
    }

    fn throughput(&self) -> Plot {
        let per_gpu = match self.gpus() {
            Some(_) => "The right axis is the same per GPU.",
            None => "Per GPU: n/a, as NUM_GPU is not set.",
        };
        against_level(
            &self.title("Output tokens per second"),
            &format!("{INTERVALS} {per_gpu}"),
            "output tok/s",
            &self.levels(),
            self.with_intervals(|point| (&point.tok_s, rate(point))),
            self.gpus().map(|gpus| ("output tok/s per GPU", gpus)),
        )
    }

    fn requests(&self) -> Plot {
        let rps = |point: &PointView<'_>| point.row.summary().map(|s| s.rps);
        against_level(
            &self.title("Requests per second"),
            INTERVALS,
            "RPS (req/s)",
            &self.levels(),
            self.with_intervals(|point| (&point.rps, rps(point))),
            self.gpus().map(|gpus| ("RPS per GPU", gpus)),
        )
    }

    /// Curves of a figure with its intervals, for the latest run and the baseline.
    fn with_intervals(
        &self,
        figure: impl for<'p> Fn(&'p PointView<'_>) -> (&'p Result<Estimate, NotComparable>, Option<f64>),
    ) -> Vec<Curve> {
        let at = |point: &PointView<'_>| {
            let (estimate, value) = figure(point);
            Some(CurveAt {
                interval: estimate.as_ref().ok().map(|estimate| estimate.interval),
                ..CurveAt::sure(point.key.level.value(), value?)
            })
        };
        let latest = self.points.iter().filter_map(at).collect();
        let before = self.before.iter().filter_map(|point| at(point)).collect();
        self.curves(
            vec![("this run".to_owned(), latest)],
            before,
            &self.baseline,
        )
    }

    /// Curves of this run, and one of the baseline, if it has points.
    fn curves(
        &self,
        latest: Vec<(String, Vec<CurveAt>)>,
        before: Vec<CurveAt>,
        name: &str,
    ) -> Vec<Curve> {
        let latest = latest
            .into_iter()
            .enumerate()
            .map(|(series, (name, points))| Curve {
                points,
                ..Curve::new(name, series)
            });
        let before = (!before.is_empty()).then(|| Curve {
            points: before,
            hollow: true,
            ..Curve::new(name, BASELINE)
        });
        latest
            .filter(|curve| !curve.points.is_empty())
            .chain(before)
            .collect()
    }

    fn latency(&self, name: &str, words: &str, latency: SummaryLatency) -> Plot {
        let title = self.title(words);
        let at = |point: &PointView<'_>, percentile: Percentile| {
            let figure = latency(point.row.summary()?)?.percentile(percentile);
            Some(CurveAt::sure(point.key.level.value(), figure.ok()?))
        };
        let latest = PERCENTILES.map(|percentile| {
            let points = self.points.iter().filter_map(|point| at(point, percentile));
            (percentile.id().to_owned(), points.collect())
        });
        let before = self
            .before
            .iter()
            .filter_map(|point| at(point, Percentile::P50))
            .collect();
        let baseline = format!("P50 of {}", self.baseline);
        let curves = self.curves(latest.into(), before, &baseline);
        let is_measured =
            |point: &PointView<'_>| point.row.summary().is_some_and(|s| latency(s).is_some());
        match (curves.is_empty(), self.points.first()) {
            (true, Some(point)) if !self.points.iter().any(is_measured) => {
                Plot::nothing(title, why_no_tokens(point.record))
            }
            (true, _) => Plot::nothing(title, "n/a: no point has the 20 values of a P50."),
            _ => against_level(
                &title,
                "Half of the requests took at most the P50, 99 of 100 at most the P99. A percentile with fewer than ten \
                 values beyond it is left out.",
                &format!("{name} (ms)"),
                &self.levels(),
                curves,
                None,
            ),
        }
    }

    /// Throughput against each latency that has an objective, else against the E2EL.
    fn frontiers(&self) -> Vec<Plot> {
        let slo = self
            .points
            .last()
            .map_or(Slo::default(), |point| point.record.slo());
        let limit = |name: &str| match name {
            "TTFT" => slo.ttft.map(|limit| limit.ms),
            "TPOT" => slo.tpot.map(|limit| limit.ms),
            _ => slo.e2el.map(|limit| limit.ms),
        };
        let limited = LATENCIES.iter().any(|(name, _, _)| limit(name).is_some());
        let shown = |name: &str| limit(name).is_some() || (!limited && name == "E2EL");
        let shown = LATENCIES.iter().filter(|(name, _, _)| shown(name));
        shown
            .map(|(name, _, latency)| {
                let tail = self.tail(*latency);
                let points = |points: &mut dyn Iterator<Item = &PointView<'_>>| {
                    let both = points.filter_map(|point| {
                        let figure = latency(point.row.summary()?)?.percentile(tail);
                        Some((point.key.level, figure.ok()?, rate(point)?))
                    });
                    both.collect::<Vec<_>>()
                };
                let latest = ParetoCurve {
                    name: "this run".to_owned(),
                    series: 0,
                    hollow: false,
                    points: points(&mut self.points.iter()),
                };
                let before = ParetoCurve {
                    name: self.baseline.clone(),
                    series: BASELINE,
                    hollow: true,
                    points: points(&mut self.before.iter().copied()),
                };
                let curves = [latest, before]
                    .into_iter()
                    .filter(|c| !c.points.is_empty());
                pareto(
                    &format!("Throughput against {name} {} (Pareto curve)", tail.id()),
                    &format!("{name} {}", tail.id()),
                    "output tok/s",
                    limit(name),
                    curves.collect(),
                )
            })
            .collect()
    }

    /// The P99, or the highest percentile below it of which every point has enough values.
    fn tail(&self, latency: SummaryLatency) -> Percentile {
        let points = self.points.iter().chain(self.before.iter().copied());
        let measured = points.filter_map(|point| latency(point.row.summary()?));
        let measured: Vec<Distribution> = measured.collect();
        // Without the P99.9, which few points have.
        let suffices = |p: &Percentile| measured.iter().all(|d| d.percentile(*p).is_ok());
        let tail = Percentile::ALL.into_iter().skip(1).find(suffices);
        tail.unwrap_or(Percentile::P50)
    }
}

const INTERVALS: &str =
    "Vertical lines are 95 % intervals over the run's windows: another run may differ by more.";

fn rate(point: &PointView<'_>) -> Option<f64> {
    point.row.summary()?.output_tok_s
}
