//! Laws of the lengths of prompts and answers.

mod parse;
#[cfg(test)]
mod tests;

use rand::distr::weighted::WeightedIndex;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, Normal, StandardNormal};
use serde_json::{Value, json};
use statrs::distribution::{Continuous, ContinuousCDF, Normal as NormalLaw};

/// The longest prompt or answer that a law can give (tokens).
const LONGEST: u32 = 1_000_000;

/// Draws until a value is within the limits. A law has at least [`parse::LEAST_MASS`] of its probability there, so
/// that the last one is never needed.
const DRAWS: usize = 10_000;

/// A law of lengths (tokens, 1 or more).
#[derive(Clone, Debug, PartialEq)]
pub struct LengthDistribution(Law);

#[derive(Clone, Debug, PartialEq)]
enum Law {
    Uniform(Limits),
    Normal(Normal<f64>, Limits),
    LogNormal {
        median: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
        limits: Limits,
    },
    Buckets {
        buckets: Vec<Bucket>,
        index: WeightedIndex<f64>,
    },
}

/// Lengths that are equally likely.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    limits: Limits,
    /// Its probability is its share of the weights of all buckets.
    weight: f64,
}

/// The least and the greatest length.
///
/// Values of a normal or log-normal law beyond them are drawn again: the law is the original one given that a value
/// is within the limits. So lengths do not pile up at a limit, and the mean is that of the truncated law.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Limits {
    least: u32,
    most: u32,
}

/// The lengths of prompt and answer, which are independent of each other.
#[derive(Clone, Debug, PartialEq)]
pub struct PairOfLengths {
    /// Tokens of the prompt.
    pub input: LengthDistribution,
    /// Tokens of the answer.
    pub output: LengthDistribution,
}

impl LengthDistribution {
    /// A length.
    pub fn draw(&self, rng: &mut impl Rng) -> u32 {
        match &self.0 {
            Law::Uniform(limits) => limits.uniform(rng),
            Law::Normal(law, limits) => limits.redraw(|| law.sample(rng)),
            Law::LogNormal {
                median,
                sigma,
                limits,
            } => limits.redraw(|| {
                let standard: f64 = StandardNormal.sample(rng);
                median * (sigma * standard).exp()
            }),
            Law::Buckets { buckets, index } => buckets[index.sample(rng)].limits.uniform(rng),
        }
    }

    /// The least length.
    pub fn least(&self) -> u32 {
        self.limits().least
    }

    /// The greatest length.
    pub fn most(&self) -> u32 {
        self.limits().most
    }

    fn limits(&self) -> Limits {
        match &self.0 {
            Law::Uniform(limits) | Law::Normal(_, limits) | Law::LogNormal { limits, .. } => {
                *limits
            }
            Law::Buckets { buckets, .. } => {
                let limits = buckets.iter().map(|bucket| bucket.limits);
                let both = limits.reduce(|a, b| Limits {
                    least: a.least.min(b.least),
                    most: a.most.max(b.most),
                });
                // Parsing refuses an empty list.
                both.unwrap_or(Limits::ALL)
            }
        }
    }

    /// The mean length; of a normal or log-normal law that of the truncated one, without the effect of rounding.
    pub fn mean(&self) -> f64 {
        match &self.0 {
            Law::Uniform(limits) => limits.middle(),
            Law::Normal(law, limits) => {
                let [from, to] = limits.bounds().map(|x| (x - law.mean()) / law.std_dev());
                let standard = NormalLaw::standard();
                let density = standard.pdf(from) - standard.pdf(to);
                law.mean() + law.std_dev() * density / mass(from, to)
            }
            Law::LogNormal {
                median,
                sigma,
                limits,
            } => {
                let [from, to] = limits.bounds().map(|x| (x / median).ln() / sigma);
                let whole = median * (sigma * sigma / 2.0).exp();
                whole * mass(from - sigma, to - sigma) / mass(from, to)
            }
            Law::Buckets { buckets, index } => {
                let each = buckets
                    .iter()
                    .map(|bucket| bucket.limits.middle() * bucket.weight);
                each.sum::<f64>() / index.total_weight()
            }
        }
    }

    /// The law in its longest form, for run records: equal laws are equal there however they were written.
    pub fn to_json(&self) -> Value {
        match &self.0 {
            Law::Uniform(limits) => limits.to_json(),
            Law::Normal(law, Limits { least, most }) => json!({"normal": {
                "mean": law.mean(), "std": law.std_dev(), "min": least, "max": most,
            }}),
            Law::LogNormal {
                median,
                sigma,
                limits: Limits { least, most },
            } => json!({"lognormal": {
                "median": median, "sigma": sigma, "min": least, "max": most,
            }}),
            Law::Buckets { buckets, .. } => {
                let bucket = |Bucket { limits, weight }: &Bucket| match limits.least == limits.most
                {
                    true => json!({"tokens": limits.least, "weight": weight}),
                    false => json!({"tokens": [limits.least, limits.most], "weight": weight}),
                };
                json!({"buckets": Vec::from_iter(buckets.iter().map(bucket))})
            }
        }
    }
}

/// Probability of a standard normal law between `from` and `to`.
fn mass(from: f64, to: f64) -> f64 {
    let standard = NormalLaw::standard();
    standard.cdf(to) - standard.cdf(from)
}

impl Limits {
    /// Of a law that has none of its own.
    const ALL: Limits = Limits {
        least: 1,
        most: LONGEST,
    };

    fn uniform(self, rng: &mut impl Rng) -> u32 {
        rng.random_range(self.least..=self.most)
    }

    /// The first rounded value of `draw` that is within the limits.
    fn redraw(self, mut draw: impl FnMut() -> f64) -> u32 {
        let mut values = (0..DRAWS).map(|_| draw().round());
        let (least, most) = (f64::from(self.least), f64::from(self.most));
        let value = values.find(|value| (least..=most).contains(value));
        // A float between two u32s.
        value.map_or(self.least, |value| value as u32)
    }

    /// The interval whose values are rounded to lengths within the limits.
    fn bounds(self) -> [f64; 2] {
        [f64::from(self.least) - 0.5, f64::from(self.most) + 0.5]
    }

    fn middle(self) -> f64 {
        (f64::from(self.least) + f64::from(self.most)) / 2.0
    }

    fn to_json(self) -> Value {
        match self.least == self.most {
            true => json!(self.least),
            false => json!({"uniform": [self.least, self.most]}),
        }
    }
}
