//! How Criterion shows our values: rates on axes, durations where a spread is meant.

use criterion::Throughput;
use criterion::measurement::ValueFormatter;

use crate::config::Metric;

/// Formats the values of one metric; every value is in nanoseconds (per token, per request, or plain).
///
/// * Plots (`scale_values`) show rate metrics in tok/s and req/s, latency metrics in ms.
/// * Text (`format_value`) shows the time behind the value, so that a standard deviation, too, is right:
///   the reciprocal of a deviation is not a rate.
/// * Throughput (`format_throughput`) shows the rate.
#[derive(Clone, Copy, Debug)]
pub struct MetricFormatter {
    metric: Metric,
}

impl MetricFormatter {
    /// The formatter of `metric`.
    pub const fn new(metric: Metric) -> MetricFormatter {
        MetricFormatter { metric }
    }

    /// Unit of the rate, or `None` for a latency.
    fn rate_unit(self) -> Option<&'static str> {
        match self.metric {
            Metric::OutputTokS => Some("tok/s"),
            Metric::Rps => Some("req/s"),
            Metric::Ttft | Metric::Tpot | Metric::E2el => None,
        }
    }

    /// Unit of the value as a duration.
    fn time_unit(self) -> &'static str {
        match self.metric {
            Metric::OutputTokS => "ms/tok",
            Metric::Rps => "ms/req",
            Metric::Tpot => "ms/tok",
            Metric::Ttft | Metric::E2el => "ms",
        }
    }
}

const NS_PER_S: f64 = 1e9;
const NS_PER_MS: f64 = 1e6;

/// Reciprocal of a time, kept finite: kernel density plots ask for values at and below zero.
fn rate(ns: f64, typical_ns: f64) -> f64 {
    NS_PER_S / ns.max(typical_ns * 1e-3)
}

impl ValueFormatter for MetricFormatter {
    fn format_value(&self, value: f64) -> String {
        format!("{} {}", figure(value / NS_PER_MS), self.time_unit())
    }

    fn format_throughput(&self, _: &Throughput, value: f64) -> String {
        match self.rate_unit() {
            Some(unit) => format!("{} {unit}", figure(NS_PER_S / value)),
            None => self.format_value(value),
        }
    }

    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        let Some(unit) = self.rate_unit() else {
            values.iter_mut().for_each(|v| *v /= NS_PER_MS);
            return "ms";
        };
        for value in values.iter_mut() {
            *value = rate(*value, typical);
        }
        // Criterion's distribution plots scale [lower, upper, point] of an interval in one call and rely on
        // lower < upper; a reciprocal turns them round.
        if let [lower, upper, point] = values
            && upper <= point
            && point <= lower
        {
            std::mem::swap(lower, upper);
        }
        unit
    }

    fn scale_throughputs(&self, typical: f64, _: &Throughput, values: &mut [f64]) -> &'static str {
        self.scale_values(typical, values)
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "ns"
    }
}

/// Four significant digits, without an exponent.
fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 1000.0 => 0,
        v if v >= 100.0 => 1,
        v if v >= 10.0 => 2,
        v if v >= 1.0 => 3,
        _ => 4,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_shown_as_rates_and_latencies_as_milliseconds() {
        let cases = [
            (
                Metric::OutputTokS,
                2e6,
                500.0,
                "tok/s",
                "500.0 tok/s",
                "2.000 ms/tok",
            ),
            (Metric::Rps, 1e9, 1.0, "req/s", "1.000 req/s", "1000 ms/req"),
            (Metric::Ttft, 25e6, 25.0, "ms", "25.00 ms", "25.00 ms"),
            (
                Metric::Tpot,
                4.5e6,
                4.5,
                "ms",
                "4.500 ms/tok",
                "4.500 ms/tok",
            ),
            (Metric::E2el, 1.5e9, 1500.0, "ms", "1500 ms", "1500 ms"),
        ];
        for (metric, ns, scaled, unit, throughput, text) in cases {
            let formatter = MetricFormatter::new(metric);
            let mut values = [ns];
            assert_eq!(formatter.scale_values(ns, &mut values), unit);
            assert_eq!(values, [scaled]);
            assert_eq!(
                formatter.format_throughput(&Throughput::Elements(1), ns),
                throughput
            );
            assert_eq!(formatter.format_value(ns), text);
        }
    }

    #[test]
    fn an_interval_stays_in_order_when_it_becomes_a_rate() {
        let mut interval = [1e6, 4e6, 2e6];
        MetricFormatter::new(Metric::Rps).scale_values(4e6, &mut interval);
        assert_eq!(interval, [250.0, 1000.0, 500.0]);
    }

    #[test]
    fn no_value_becomes_infinite_or_negative() {
        let mut values = [0.0, -5.0, 1e-300, 1e6];
        MetricFormatter::new(Metric::OutputTokS).scale_values(1e6, &mut values);
        assert!(
            values.iter().all(|v| v.is_finite() && *v > 0.0),
            "{values:?}"
        );
    }
}
