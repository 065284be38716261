//! Criterion measurements whose values come from windows of a load.
//!
//! Criterion takes a larger value for a regression. So the value behind a rate is its reciprocal
//! (nanoseconds per token, per request), the value behind a latency the latency itself (ns): smaller is
//! better in each, and "improved" always means better for the user. Only the [`MetricFormatter`] turns
//! times into tok/s and req/s.

mod criterion_pages;
mod formatter;

use std::cell::Cell;
use std::rc::Rc;

use criterion::measurement::{Measurement, ValueFormatter};

use crate::config::Metric;
use crate::load::Window;
use crate::metrics::latency;

pub use criterion_pages::{GroupPages, link_criterion_to_report};
pub use formatter::MetricFormatter;

/// A serving metric as a Criterion [`Measurement`].
///
/// Use it with [`Bencher::iter_custom`](criterion::Bencher::iter_custom), returning
/// `value(metric, &window) × iterations`.
#[derive(Clone, Debug)]
pub struct ServingMeasurement {
    formatter: MetricFormatter,
    phase: Phase,
}

/// Which of Criterion's phases runs: it counts the `Bencher`s that Criterion has made.
///
/// Criterion tells a routine how often to iterate but not whether it warms up or samples. It makes one
/// `Bencher` for the warm-up and one for the samples, and each begins with one call of
/// [`Measurement::zero`]; nothing else calls it for `iter_custom`.
#[derive(Clone, Debug, Default)]
pub struct Phase(Rc<Cell<u32>>);

impl Phase {
    /// The number of the current phase; differs between warm-up and samples.
    pub fn current(&self) -> u32 {
        self.0.get()
    }
}

impl ServingMeasurement {
    /// The measurement of `metric`.
    pub fn new(metric: Metric) -> ServingMeasurement {
        ServingMeasurement {
            formatter: MetricFormatter::new(metric),
            phase: Phase::default(),
        }
    }

    /// A handle that follows Criterion's phases.
    pub fn phase(&self) -> Phase {
        self.phase.clone()
    }
}

impl Measurement for ServingMeasurement {
    type Intermediate = ();
    type Value = f64;

    /// Does nothing: the values come from windows.
    fn start(&self) {}

    /// Zero, as nothing was started.
    fn end(&self, (): ()) -> f64 {
        0.0
    }

    fn add(&self, a: &f64, b: &f64) -> f64 {
        a + b
    }

    fn zero(&self) -> f64 {
        self.phase.0.set(self.phase.0.get() + 1);
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &self.formatter
    }
}

/// The value of a metric in one window (ns per token, ns per request, or ns); smaller is better.
///
/// Latencies are means over the requests that completed in the window. `None` where the window has no
/// request that defines the metric.
pub fn value(metric: Metric, window: &Window) -> Option<f64> {
    let wall = window.wall_ns() as f64;
    let completed = window.completed();
    match metric {
        Metric::OutputTokS => window
            .output_tokens()
            .filter(|tokens| *tokens > 0.0)
            .map(|tokens| wall / tokens),
        Metric::Rps => match window.succeeded() {
            0 => None,
            requests => Some(wall / requests as f64),
        },
        Metric::Ttft => mean(completed.filter_map(|r| latency::ttft_ns(&r))),
        Metric::Tpot => mean(completed.filter_map(|r| latency::tpot_ns(&r))),
        Metric::E2el => mean(completed.map(|r| latency::e2el_ns(&r))),
    }
    .filter(|value| value.is_finite() && *value > 0.0)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), v| (sum + v, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Window;

    fn two_requests() -> Window {
        use crate::load::window_tests::{completed, window};
        window(
            vec![
                completed(0, 200_000, 800_000, 4),
                completed(0, 400_000, 1_000_000, 4),
            ],
            0,
            0,
        )
    }

    #[test]
    fn rates_are_reciprocals_and_latencies_are_means() {
        let window = two_requests();
        let cases = [
            (Metric::OutputTokS, 1_000.0 / 8.0),
            (Metric::Rps, 500.0),
            (Metric::Ttft, 300_000.0),
            (Metric::Tpot, 200_000.0),
            (Metric::E2el, 900_000.0),
        ];
        for (metric, expected) in cases {
            assert_eq!(value(metric, &window), Some(expected), "{metric:?}");
        }
    }

    #[test]
    fn a_window_without_success_has_no_value() {
        let window = Window {
            requests: Default::default(),
            ..two_requests()
        };
        for metric in Metric::ALL {
            assert_eq!(value(metric, &window), None);
        }
    }

    #[test]
    fn the_phase_tells_warm_up_from_samples() {
        let measurement = ServingMeasurement::new(Metric::Rps);
        let phase = measurement.phase();
        let mut criterion = criterion::Criterion::default()
            .with_measurement(measurement)
            .warm_up_time(std::time::Duration::from_nanos(1))
            .measurement_time(std::time::Duration::from_millis(1))
            .sample_size(10)
            .nresamples(1001)
            .without_plots()
            .output_directory(tempfile::tempdir().unwrap().path());
        let mut calls = Vec::new();
        criterion.bench_function("phase", |b| {
            b.iter_custom(|iters| {
                calls.push(phase.current());
                // Samples that differ, as a density of equal values is undefined.
                iters as f64 * (100.0 + calls.len() as f64)
            });
        });
        let warm_up = calls.iter().filter(|p| **p == calls[0]).count();
        assert!(warm_up >= 1);
        assert_eq!(calls.len() - warm_up, 10, "{calls:?}");
    }
}
