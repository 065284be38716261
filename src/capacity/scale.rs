use rand::rngs::StdRng;
use rand_distr::{Distribution as _, StandardNormal};

use crate::level::Level;
use crate::request_rate::RequestRate;

/// By how much the capacity differs between trials of the same servers (standard deviation of its logarithm), beyond what
/// the windows of one trial show: queues and stalls outlast a trial.
const BETWEEN_TRIALS: f64 = 0.015;

/// What kind of level is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Requests in flight: whole numbers.
    Concurrency,
    /// Requests per second, to three digits.
    Rate,
}

impl Scale {
    /// The level nearest to `value` (requests, or req/s).
    pub fn level(self, value: f64) -> Level {
        match self {
            Scale::Concurrency => {
                let requests = std::num::NonZeroUsize::new(value.round() as usize);
                requests.unwrap_or(std::num::NonZeroUsize::MIN).into()
            }
            Scale::Rate => {
                let digit = 10_f64.powf(value.log10().floor() - 2.0);
                let rounded = (value / digit).round() * digit;
                // In one text: 0.30000000000000004 is 0.3.
                let rounded = format!("{rounded:.6}").parse().unwrap_or(value);
                Level::Rate(RequestRate::new(rounded).unwrap_or(RequestRate::MAX))
            }
        }
    }

    /// Least and greatest level.
    pub(super) fn range(self) -> (f64, f64) {
        match self {
            Scale::Concurrency => (1.0, 100_000.0),
            Scale::Rate => (0.001, 100_000.0),
        }
    }

    /// The level (requests in flight, or req/s) as another trial of the same servers could have shown it.
    pub(super) fn spread(self, level: f64, rng: &mut StdRng) -> f64 {
        let normal: f64 = StandardNormal.sample(rng);
        let spread = level * (BETWEEN_TRIALS * normal).exp();
        match self {
            Scale::Concurrency => spread.round(),
            Scale::Rate => spread,
        }
    }

    /// What a level counts.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Scale::Concurrency => "users",
            Scale::Rate => "req/s",
        }
    }
}
