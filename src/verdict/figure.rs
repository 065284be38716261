use serde::{Deserialize, Serialize};

use crate::client::CompletedRequest;
use crate::config::Slo;
use crate::load::Window;
use crate::metrics::{Percentile, SortedValues, good_requests, latency, sorted_itl_ms};
use crate::results::ResultKey;

/// A figure by which two sides are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Output tokens per second.
    TokS,
    /// Requests completed per second.
    Rps,
    /// Requests per second that met every objective of `SLO`.
    Goodput,
    /// Mean time to first token.
    TtftMean,
    /// Median time to first token.
    TtftP50,
    /// 95th percentile of the time to first token.
    TtftP95,
    /// 99th percentile of the time to first token.
    TtftP99,
    /// 99.9th percentile of the time to first token.
    TtftP99_9,
    /// Mean time per output token after the first.
    TpotMean,
    /// 95th percentile of the inter-token latency.
    ItlP95,
    /// 99th percentile of the inter-token latency.
    ItlP99,
    /// 99.9th percentile of the inter-token latency.
    ItlP99_9,
    /// Median end-to-end latency.
    E2elP50,
    /// 95th percentile of the end-to-end latency.
    E2elP95,
    /// 99th percentile of the end-to-end latency.
    E2elP99,
    /// 99.9th percentile of the end-to-end latency.
    E2elP99_9,
    /// Requests that failed, in percent of all.
    Failed,
    /// The largest load within the objectives of `SLO`, as a search found it.
    Capacity,
}

/// A figure's contribution from one window.
#[derive(Clone, Debug)]
pub(super) enum WindowSample {
    /// The figure is a ratio of sums: of amounts to seconds, or of values to their number.
    Ratio {
        /// Amount, or sum of the values (ms).
        numerator: f64,
        /// Seconds, or number of values.
        denominator: f64,
    },
    /// The figure is a percentile of these values (ms).
    Values(SortedValues),
}

const MS_PER_NS: f64 = 1e-6;

impl Figure {
    /// Every figure, in the order in which they are shown.
    pub const ALL: [Figure; 18] = [
        Figure::TokS,
        Figure::Rps,
        Figure::Goodput,
        Figure::TtftMean,
        Figure::TtftP50,
        Figure::TtftP95,
        Figure::TtftP99,
        Figure::TtftP99_9,
        Figure::TpotMean,
        Figure::ItlP95,
        Figure::ItlP99,
        Figure::ItlP99_9,
        Figure::E2elP50,
        Figure::E2elP95,
        Figure::E2elP99,
        Figure::E2elP99_9,
        Figure::Failed,
        Figure::Capacity,
    ];

    /// Its name on the command line and in files (`tok_s`, `ttft_p99`).
    pub fn id(self) -> &'static str {
        match self {
            Figure::TokS => "tok_s",
            Figure::Rps => "rps",
            Figure::Goodput => "goodput",
            Figure::TtftMean => "ttft_mean",
            Figure::TtftP50 => "ttft_p50",
            Figure::TtftP95 => "ttft_p95",
            Figure::TtftP99 => "ttft_p99",
            Figure::TtftP99_9 => "ttft_p99_9",
            Figure::TpotMean => "tpot_mean",
            Figure::ItlP95 => "itl_p95",
            Figure::ItlP99 => "itl_p99",
            Figure::ItlP99_9 => "itl_p99_9",
            Figure::E2elP50 => "e2el_p50",
            Figure::E2elP95 => "e2el_p95",
            Figure::E2elP99 => "e2el_p99",
            Figure::E2elP99_9 => "e2el_p99_9",
            Figure::Failed => "failed",
            Figure::Capacity => "capacity",
        }
    }

    /// The figure with this name, if there is one.
    pub fn named(id: &str) -> Option<Figure> {
        Figure::ALL.into_iter().find(|figure| figure.id() == id)
    }

    /// Its name in tables, with the unit.
    pub fn title(self) -> &'static str {
        match self {
            Figure::TokS => "output tok/s",
            Figure::Rps => "RPS (req/s)",
            Figure::Goodput => "goodput (req/s)",
            Figure::TtftMean => "TTFT mean (ms)",
            Figure::TtftP50 => "TTFT P50 (ms)",
            Figure::TtftP95 => "TTFT P95 (ms)",
            Figure::TtftP99 => "TTFT P99 (ms)",
            Figure::TtftP99_9 => "TTFT P99.9 (ms)",
            Figure::TpotMean => "TPOT mean (ms)",
            Figure::ItlP95 => "ITL P95 (ms)",
            Figure::ItlP99 => "ITL P99 (ms)",
            Figure::ItlP99_9 => "ITL P99.9 (ms)",
            Figure::E2elP50 => "E2EL P50 (ms)",
            Figure::E2elP95 => "E2EL P95 (ms)",
            Figure::E2elP99 => "E2EL P99 (ms)",
            Figure::E2elP99_9 => "E2EL P99.9 (ms)",
            Figure::Failed => "failed (%)",
            // Its unit depends on the search, and stands beside the values.
            Figure::Capacity => "capacity",
        }
    }

    /// Whether larger is better for the user: rates, but not latencies.
    pub fn larger_is_better(self) -> bool {
        matches!(
            self,
            Figure::Capacity | Figure::TokS | Figure::Rps | Figure::Goodput
        )
    }

    /// Whether it is a share of the requests: its change is a difference, not a ratio.
    pub fn is_share(self) -> bool {
        self == Figure::Failed
    }

    /// Whether it is a figure of this result.
    pub fn is_of(self, result: &ResultKey) -> bool {
        (self == Figure::Capacity) == result.point().is_none()
    }

    /// Default of the smallest change that matters: a ratio, or the difference of shares.
    pub fn default_threshold(self) -> f64 {
        match self {
            Figure::Failed => 0.01,
            // A search leaves an interval of 10 %.
            Figure::Capacity => 0.05,
            _ => 0.03,
        }
    }

    /// The percentile, if it is one.
    pub fn percentile(self) -> Option<Percentile> {
        match self {
            Figure::TtftP50 | Figure::E2elP50 => Some(Percentile::P50),
            Figure::TtftP95 | Figure::ItlP95 | Figure::E2elP95 => Some(Percentile::P95),
            Figure::TtftP99 | Figure::ItlP99 | Figure::E2elP99 => Some(Percentile::P99),
            Figure::TtftP99_9 | Figure::ItlP99_9 | Figure::E2elP99_9 => Some(Percentile::P99_9),
            Figure::Capacity
            | Figure::TokS
            | Figure::Rps
            | Figure::Goodput
            | Figure::TtftMean
            | Figure::TpotMean
            | Figure::Failed => None,
        }
    }

    /// Whether it is compared unless others are named: of the percentiles only the median and the P99, as each figure
    /// that is tested makes a change of the others harder to prove.
    pub fn is_default(self) -> bool {
        !matches!(self.percentile(), Some(Percentile::P95 | Percentile::P99_9))
    }

    /// Assumed standard deviation of the figure's logarithm between runs of one server.
    ///
    /// A little more than on the quiet machine of `verdict_calibration`. When requests synchronize with each
    /// other, they stay synchronized for the run: times to the first token and high percentiles differ more
    /// between runs than averages over a whole run.
    pub(super) fn assumed_between_runs(self) -> f64 {
        match self {
            Figure::TokS | Figure::Rps | Figure::Goodput | Figure::TpotMean | Figure::E2elP50 => {
                0.008
            }
            Figure::TtftMean
            | Figure::TtftP50
            | Figure::TtftP95
            | Figure::TtftP99
            | Figure::TtftP99_9
            | Figure::ItlP95
            | Figure::ItlP99
            | Figure::ItlP99_9
            | Figure::E2elP95
            | Figure::E2elP99
            | Figure::E2elP99_9 => 0.03,
            // As queues and stalls outlast a trial, searches of one server differ as latencies do.
            Figure::Capacity => 0.02,
            // The variance of its change is computed from counts.
            Figure::Failed => 0.0,
        }
    }

    /// The contribution of `window`; `None` if the window does not have the figure.
    pub(super) fn sample(self, window: &Window, slo: &Slo) -> Option<WindowSample> {
        let per_second = |amount: Option<f64>| {
            Some(WindowSample::Ratio {
                numerator: amount?,
                denominator: window.wall_ns() as f64 * 1e-9,
            })
        };
        match self {
            // If every request failed, there are no tokens.
            Figure::TokS if !window.has_success() => per_second(Some(0.0)),
            Figure::TokS => per_second(window.output_tokens()),
            Figure::Rps => per_second(Some(window.succeeded() as f64)),
            Figure::Goodput => per_second(good_requests(window, slo).map(|good| good as f64)),
            Figure::TtftMean => mean(window, latency::ttft_ns),
            Figure::TpotMean => mean(window, latency::tpot_ns),
            Figure::TtftP50 | Figure::TtftP95 | Figure::TtftP99 | Figure::TtftP99_9 => {
                Some(values(window, latency::ttft_ns))
            }
            Figure::E2elP50 | Figure::E2elP95 | Figure::E2elP99 | Figure::E2elP99_9 => {
                Some(values(window, |answer| Some(latency::e2el_ns(answer))))
            }
            Figure::ItlP95 | Figure::ItlP99 | Figure::ItlP99_9 => {
                Some(WindowSample::Values(sorted_itl_ms([window])))
            }
            // Not computed from windows, but by `capacity` and `failures`.
            Figure::Capacity | Figure::Failed => None,
        }
    }
}

type Latency = fn(&CompletedRequest) -> Option<f64>;

fn each(window: &Window, latency: Latency) -> impl Iterator<Item = f64> + use<'_> {
    window
        .completed()
        .filter_map(move |answer| Some(latency(&answer)? * MS_PER_NS))
}

fn values(window: &Window, latency: Latency) -> WindowSample {
    WindowSample::Values(each(window, latency).collect())
}

fn mean(window: &Window, latency: Latency) -> Option<WindowSample> {
    let (sum, count) = each(window, latency).fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
    (count > 0.0).then_some(WindowSample::Ratio {
        numerator: sum,
        denominator: count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::window_tests::{completed, window};

    #[test]
    fn names_are_found_and_match_serde() {
        for figure in Figure::ALL {
            assert_eq!(Figure::named(figure.id()), Some(figure));
            let json = serde_json::to_string(&figure).expect("JSON");
            assert_eq!(json, format!("{:?}", figure.id()));
        }
        assert_eq!(Figure::named("tok/s"), None);
    }

    #[test]
    fn a_window_gives_rates_means_and_values() {
        let ms = |ms: u64| ms * 1_000_000;
        let mut window = window(
            vec![
                completed(0, ms(20), ms(60), 5),
                completed(0, ms(40), ms(80), 5),
            ],
            0,
            0,
        );
        window.end_ns = ms(500);
        let ratio = |figure: Figure| match figure.sample(&window, &Slo::default()) {
            Some(WindowSample::Ratio {
                numerator,
                denominator,
            }) => numerator / denominator,
            other => panic!("{figure:?}: {other:?}"),
        };
        assert_eq!(ratio(Figure::TokS), 20.0);
        assert_eq!(ratio(Figure::Rps), 4.0);
        assert_eq!(ratio(Figure::TtftMean), 30.0);
        assert_eq!(ratio(Figure::TpotMean), 10.0);
        let Some(WindowSample::Values(e2el)) = Figure::E2elP99.sample(&window, &Slo::default())
        else {
            panic!("values");
        };
        assert_eq!(e2el, [60.0, 80.0].into_iter().collect());
        assert!(Figure::Goodput.sample(&window, &Slo::default()).is_none());
    }
}
