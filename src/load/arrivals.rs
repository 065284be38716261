//! When the requests of an open loop arrive.

use std::num::NonZeroUsize;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Exp1, Gamma};

use crate::config::{ArrivalProcess, Ramp, RampStrategy};

/// Times of arrival (ns after the load's start), in order and without end: a function of the seed.
#[derive(Debug)]
pub struct Arrivals {
    gap: Gap,
    rng: StdRng,
    /// The mean gap of the whole sequence (ns), after the ramp.
    mean_ns: f64,
    /// Expected number of arrivals until the last one.
    expected: f64,
    ramp: Option<Ramp>,
    /// Arrivals of the sequence that are left out before the next one.
    left_out: usize,
    /// Distance in the sequence from one arrival to the next.
    step: NonZeroUsize,
}

/// Gaps of mean 1.
#[derive(Clone, Copy, Debug)]
enum Gap {
    Constant,
    Exponential,
    Gamma(Gamma<f64>),
}

impl Arrivals {
    /// Arrivals at `per_second` (req/s, above 0 and finite).
    pub fn new(per_second: f64, process: ArrivalProcess, seed: u64) -> Arrivals {
        let gamma = |shape: f64| Gamma::new(shape, 1.0 / shape).map(Gap::Gamma);
        Arrivals {
            gap: match process {
                ArrivalProcess::Constant => Gap::Constant,
                ArrivalProcess::Poisson => Gap::Exponential,
                // A shape of the configuration is above 0.
                ArrivalProcess::Gamma(shape) => gamma(shape).unwrap_or(Gap::Exponential),
            },
            rng: StdRng::seed_from_u64(seed),
            mean_ns: 1e9 / per_second,
            expected: 0.0,
            ramp: None,
            left_out: 0,
            step: NonZeroUsize::MIN,
        }
    }

    /// Only every `step`th arrival from the `first` on, so that several processes with one seed send together what one
    /// process would.
    pub fn thinned(self, first: usize, step: NonZeroUsize) -> Arrivals {
        Arrivals {
            left_out: first,
            step,
            ..self
        }
    }

    /// Preceded by a ramp.
    pub fn after(self, ramp: Option<Ramp>) -> Arrivals {
        Arrivals { ramp, ..self }
    }

    /// When their rate has risen to its own (ns after the load's start).
    pub fn steady_from_ns(&self) -> u64 {
        self.ramp.map_or(0, |ramp| ramp.duration.as_nanos() as u64)
    }

    /// The mean gap (ns), after the ramp.
    pub fn mean_ns(&self) -> f64 {
        self.mean_ns * self.step.get() as f64
    }

    fn next_of_sequence_ns(&mut self) -> f64 {
        let gap = match &self.gap {
            Gap::Constant => 1.0,
            Gap::Exponential => Exp1.sample(&mut self.rng),
            Gap::Gamma(gamma) => gamma.sample(&mut self.rng),
        };
        self.expected += gap;
        match &self.ramp {
            None => self.expected * self.mean_ns,
            Some(ramp) => ramp_at_ns(ramp, self.expected * self.mean_ns),
        }
    }
}

/// The share of the point's rate at which a ramp begins.
const RAMP_FROM: f64 = 0.1;

/// When as many requests have arrived as would have at the point's own rate after `own_ns` (ns): the inverse of the
/// integral of the rate, which turns a stationary process into one of a changing rate (time rescaling).
fn ramp_at_ns(ramp: &Ramp, own_ns: f64) -> f64 {
    let ramp_ns = ramp.duration.as_nanos() as f64;
    let whole = match ramp.strategy {
        RampStrategy::Linear => (1.0 + RAMP_FROM) / 2.0,
        RampStrategy::Exponential => (RAMP_FROM - 1.0) / RAMP_FROM.ln(),
    };
    // In shares of the ramp's duration.
    let own = own_ns / ramp_ns;
    if own > whole {
        return ramp_ns + own_ns - whole * ramp_ns;
    }
    ramp_ns
        * match ramp.strategy {
            RampStrategy::Linear => {
                let rise = 1.0 - RAMP_FROM;
                ((RAMP_FROM * RAMP_FROM + 2.0 * rise * own).sqrt() - RAMP_FROM) / rise
            }
            RampStrategy::Exponential => {
                let growth = -RAMP_FROM.ln();
                (1.0 + own * growth / RAMP_FROM).ln() / growth
            }
        }
}

impl Iterator for Arrivals {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        for _ in 0..self.left_out {
            self.next_of_sequence_ns();
        }
        self.left_out = self.step.get() - 1;
        Some(self.next_of_sequence_ns() as u64)
    }
}

#[cfg(test)]
mod tests {
    use statrs::distribution::{ContinuousCDF, Gamma as GammaLaw};

    use super::*;

    /// Gaps (s) of `count` arrivals.
    fn gaps(per_second: f64, process: ArrivalProcess, count: usize) -> Vec<f64> {
        let arrivals = Arrivals::new(per_second, process, 7).take(count);
        let mut before = 0;
        let gap = |at_ns: u64| (at_ns - std::mem::replace(&mut before, at_ns)) as f64 * 1e-9;
        arrivals.map(gap).collect()
    }

    /// The Kolmogorov-Smirnov distance between values and a law.
    fn distance(mut values: Vec<f64>, law: &GammaLaw) -> f64 {
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        let gap = |(at, value): (usize, &f64)| {
            let p = law.cdf(*value);
            (p - at as f64 / n)
                .abs()
                .max((p - (at + 1) as f64 / n).abs())
        };
        values.iter().enumerate().map(gap).fold(0.0, f64::max)
    }

    #[test]
    fn gaps_follow_their_law() {
        const COUNT: usize = 20_000;
        let laws = [
            (ArrivalProcess::Poisson, 1.0),
            (ArrivalProcess::Gamma(0.5), 0.5),
            (ArrivalProcess::Gamma(4.0), 4.0),
        ];
        for (process, shape) in laws {
            for rate in [0.5, 8.0, 5_000.0] {
                let law = GammaLaw::new(shape, shape * rate).expect("a valid law");
                let distance = distance(gaps(rate, process, COUNT), &law);
                // The critical value at a level of 0.1 %.
                let critical = 1.95 / (COUNT as f64).sqrt();
                assert!(distance < critical, "{process:?} at {rate}: {distance}");
            }
        }
        let other = GammaLaw::new(1.0, 8.0).expect("a valid law");
        let distance = distance(gaps(8.0, ArrivalProcess::Gamma(0.5), COUNT), &other);
        assert!(distance > 0.05, "another law is told apart: {distance}");
    }

    #[test]
    fn constant_gaps_are_equal_and_every_rate_is_met() {
        let gaps_s = gaps(8.0, ArrivalProcess::Constant, 100);
        assert!(gaps_s.iter().all(|gap| (gap - 0.125).abs() < 1e-8));
        let processes = [
            ArrivalProcess::Constant,
            ArrivalProcess::Poisson,
            ArrivalProcess::Gamma(0.5),
        ];
        for process in processes {
            let total: f64 = gaps(100.0, process, 200_000).iter().sum();
            assert!(
                (total / 2_000.0 - 1.0).abs() < 0.015,
                "{process:?}: {total}"
            );
        }
    }

    #[test]
    fn one_seed_gives_one_sequence() {
        let times = |seed| {
            let arrivals = Arrivals::new(10.0, ArrivalProcess::Poisson, seed);
            Vec::from_iter(arrivals.take(100))
        };
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
    }

    #[test]
    fn processes_of_one_seed_send_together_what_one_would() {
        let all = || Arrivals::new(10.0, ArrivalProcess::Gamma(0.5), 9);
        let three = NonZeroUsize::new(3).expect("three");
        let part = |first| all().thinned(first, three).take(50);
        let mut together: Vec<u64> = (0..3).flat_map(part).collect();
        together.sort_unstable();
        assert_eq!(together, Vec::from_iter(all().take(150)));
        assert_eq!(all().thinned(1, three).mean_ns(), 3.0 * all().mean_ns());
    }

    #[test]
    fn a_ramp_rises_from_a_tenth_to_the_whole_rate() {
        for strategy in RampStrategy::ALL {
            let duration = std::time::Duration::from_secs(100);
            let ramp = Some(Ramp { strategy, duration });
            let arrivals = || Arrivals::new(1_000.0, ArrivalProcess::Constant, 1).after(ramp);
            let in_second = |second: u64| {
                let from_ns = second * 1_000_000_000;
                let in_it = |at_ns: &u64| (from_ns..from_ns + 1_000_000_000).contains(at_ns);
                arrivals().take(120_000).filter(in_it).count() as f64
            };
            let middle = match strategy {
                RampStrategy::Linear => 0.55,
                RampStrategy::Exponential => 0.1_f64.sqrt(),
            };
            for (second, share) in [(0, 0.1), (50, middle), (99, 1.0), (100, 1.0), (110, 1.0)] {
                let off = in_second(second) / (1_000.0 * share) - 1.0;
                assert!(off.abs() < 0.06, "{strategy:?} in second {second}: {off}");
            }
            assert_eq!(arrivals().steady_from_ns(), 100_000_000_000);
        }
    }
}
