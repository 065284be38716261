//! One figure over the blocks of one run.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Unclear;
use super::figure::{Figure, Sample, succeeds};
use crate::config::Slo;
use crate::load::Window;
use crate::metrics::percentile;

/// More windows than this are joined to about as many blocks: more would change no interval.
const MOST_BLOCKS: usize = 64;

/// Fewer blocks than this give no variance worth the name.
const LEAST_BLOCKS: usize = 5;

/// Blocks are joined only while at least this many are left to join.
const JOINABLE_BLOCKS: usize = 2 * LEAST_BLOCKS;

/// Resamples of the bootstrap: the standard error that they give is itself known to about 2 %.
const RESAMPLES: usize = 1_000;

/// Values that must lie beyond a percentile for it to have an interval.
const LEAST_BEYOND: f64 = 10.0;

/// Steps of the pooled values in which a resample's percentile is looked up.
const STEPS: usize = 1_000;

/// The samples of one run, joined to blocks that do not depend on each other.
#[derive(Debug)]
pub(super) struct Series {
    value: f64,
    blocks: Blocks,
}

#[derive(Debug)]
enum Blocks {
    /// Numerator and denominator of each.
    Ratios(Vec<(f64, f64)>),
    Percentiles(Steps),
}

/// The values of all blocks in steps of about equal number, and how many each block has up to each.
#[derive(Debug)]
struct Steps {
    /// 0 to 100.
    percentile: f64,
    /// Greatest value of each step.
    edges: Vec<f64>,
    /// For each step, how many values each block has in it and in those before it.
    up_to: Vec<Vec<u32>>,
}

/// A figure of one run: the logarithm of its value, and how well that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub log_value: f64,
    /// Variance of `log_value` within the run.
    pub variance: f64,
    /// Degrees of freedom of that variance.
    pub freedom: f64,
}

impl Series {
    /// The series of `figure` over the windows of one run.
    pub fn of(figure: Figure, windows: &[Window], slo: &Slo) -> Result<Series, Unclear> {
        let samples = samples(figure, windows, slo)?;
        Series::new(figure, independent(chunked(samples)))
    }

    /// The series of two interleaved runs, window i of one beside window i of the other: joined alike.
    pub fn pair(
        figure: Figure,
        windows: [&[Window]; 2],
        slo: &Slo,
    ) -> Result<[Series; 2], Unclear> {
        let [before, after] = windows.map(|windows| samples(figure, windows, slo));
        let (before, after) = (before?, after?);
        if before.len() != after.len() {
            return Err(Unclear::TooFewWindows {
                windows: before.len().min(after.len()),
                needed: before.len().max(after.len()),
            });
        }
        Ok([
            Series::new(figure, chunked(before))?,
            Series::new(figure, chunked(after))?,
        ])
    }

    fn new(figure: Figure, samples: Vec<Sample>) -> Result<Series, Unclear> {
        let (value, blocks) = match figure.percentile() {
            None => {
                let ratios: Vec<_> = samples.iter().filter_map(Sample::ratio).collect();
                let value = quotient(ratios.iter().map(|ratio| (1.0, ratio)));
                (value, Blocks::Ratios(ratios))
            }
            Some(percentile) => {
                let (value, steps) = Steps::new(percentile, samples)?;
                (value, Blocks::Percentiles(steps))
            }
        };
        match value > 0.0 && value.is_finite() {
            true => Ok(Series { value, blocks }),
            false => Err(Unclear::Zero),
        }
    }

    fn len(&self) -> usize {
        match &self.blocks {
            Blocks::Ratios(ratios) => ratios.len(),
            Blocks::Percentiles(steps) => steps.up_to.first().map_or(0, Vec::len),
        }
    }

    /// The figure, had each block come up as often as `weights` says.
    fn resampled(&self, weights: &[u32]) -> f64 {
        match &self.blocks {
            Blocks::Ratios(ratios) => quotient(weights.iter().map(|w| f64::from(*w)).zip(ratios)),
            Blocks::Percentiles(steps) => steps.resampled(weights),
        }
    }

    /// The figure's logarithm and its variance by a bootstrap over the blocks.
    pub fn estimate(&self) -> Estimate {
        Estimate {
            log_value: self.value.ln(),
            ..bootstrap(self.len(), |weights| self.resampled(weights).ln())
        }
    }

    /// The logarithm of after ÷ before of two interleaved runs, whose blocks come up together.
    pub fn estimate_ratio([before, after]: &[Series; 2]) -> Estimate {
        Estimate {
            log_value: (after.value / before.value).ln(),
            ..bootstrap(before.len(), |weights| {
                (after.resampled(weights) / before.resampled(weights)).ln()
            })
        }
    }
}

fn quotient<'a>(weighted: impl Iterator<Item = (f64, &'a (f64, f64))>) -> f64 {
    let (numerator, denominator) = weighted.fold((0.0, 0.0), |(n, d), (weight, ratio)| {
        (n + weight * ratio.0, d + weight * ratio.1)
    });
    numerator / denominator
}

/// Variance of `statistic` over resamples of `blocks` blocks, each drawn with replacement.
///
/// A resample of K blocks spreads less than the truth by (K − 1) ÷ K (Davison and Hinkley 1997, §2.3).
fn bootstrap(blocks: usize, statistic: impl Fn(&[u32]) -> f64) -> Estimate {
    // A fixed seed: the same records always give the same verdict.
    let mut rng = StdRng::seed_from_u64(0);
    let mut weights = vec![0; blocks];
    let mut values = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        weights.fill(0);
        for _ in 0..blocks {
            weights[rng.random_range(0..blocks)] += 1;
        }
        // A resample without any good request, say, has no logarithm.
        values.extend(Some(statistic(&weights)).filter(|value| value.is_finite()));
    }
    let freedom = (blocks - 1) as f64;
    Estimate {
        log_value: 0.0,
        variance: variance(&values) * blocks as f64 / freedom,
        freedom,
    }
}

fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    squares / (values.len().max(2) - 1) as f64
}

impl Sample {
    fn ratio(&self) -> Option<(f64, f64)> {
        match self {
            Sample::Ratio {
                numerator,
                denominator,
            } => Some((*numerator, *denominator)),
            Sample::Values(_) => None,
        }
    }

    /// What the sample amounts to alone, to see whether neighbours resemble each other.
    fn level(&self) -> f64 {
        match self {
            Sample::Ratio {
                numerator,
                denominator,
            } => numerator / denominator,
            Sample::Values(values) => values.iter().sum::<f64>() / values.len() as f64,
        }
    }

    fn join(&mut self, other: Sample) {
        match (self, other) {
            (
                Sample::Ratio {
                    numerator,
                    denominator,
                },
                Sample::Ratio {
                    numerator: n,
                    denominator: d,
                },
            ) => {
                *numerator += n;
                *denominator += d;
            }
            (Sample::Values(values), Sample::Values(mut more)) => values.append(&mut more),
            _ => unreachable!("all samples of a figure are of one kind"),
        }
    }
}

fn samples(figure: Figure, windows: &[Window], slo: &Slo) -> Result<Vec<Sample>, Unclear> {
    // Throughput counts windows in which every request failed; latencies have none there.
    let counts = |window: &&Window| figure.larger_is_better() || succeeds(window);
    let windows = windows.iter().filter(counts);
    let samples: Option<Vec<Sample>> = windows.map(|w| figure.sample(w, slo)).collect();
    let samples = samples.ok_or(Unclear::NotMeasured)?;
    match samples.len() {
        windows if windows < LEAST_BLOCKS => Err(Unclear::TooFewWindows {
            windows,
            needed: LEAST_BLOCKS,
        }),
        _ => Ok(samples),
    }
}

/// At most [`MOST_BLOCKS`] blocks of as many neighbours each.
fn chunked(samples: Vec<Sample>) -> Vec<Sample> {
    joined(samples, |len| len.div_ceil(MOST_BLOCKS))
}

/// Joins neighbours in pairs while they resemble each other.
///
/// This is how batch means choose their length (Fishman 1978): the lag-1 correlation of K independent
/// blocks has about the standard deviation 1 ÷ √K, and one beyond it is taken for dependence.
fn independent(mut blocks: Vec<Sample>) -> Vec<Sample> {
    while blocks.len() >= JOINABLE_BLOCKS && lag_1(&blocks) > 1.0 / (blocks.len() as f64).sqrt() {
        blocks = joined(blocks, |_| 2);
    }
    blocks
}

/// Every `each` neighbours as one; what is left over joins the last.
fn joined(samples: Vec<Sample>, each: impl Fn(usize) -> usize) -> Vec<Sample> {
    let each = each(samples.len());
    let whole = (samples.len() / each).max(1);
    let mut blocks: Vec<Sample> = Vec::with_capacity(whole);
    for (at, sample) in samples.into_iter().enumerate() {
        match blocks.get_mut((at / each).min(whole - 1)) {
            Some(block) => block.join(sample),
            None => blocks.push(sample),
        }
    }
    blocks
}

/// Correlation of each block's level with the next one's.
fn lag_1(blocks: &[Sample]) -> f64 {
    let levels: Vec<f64> = blocks.iter().map(Sample::level).collect();
    let mean = levels.iter().sum::<f64>() / levels.len() as f64;
    let spread: f64 = levels.iter().map(|level| (level - mean).powi(2)).sum();
    let common = levels
        .windows(2)
        .map(|pair| (pair[0] - mean) * (pair[1] - mean));
    match spread > 0.0 {
        true => common.sum::<f64>() / spread,
        false => 0.0,
    }
}

impl Steps {
    /// The percentile of all values, and the values in steps.
    fn new(percentile_: f64, samples: Vec<Sample>) -> Result<(f64, Steps), Unclear> {
        let blocks = samples.len();
        let mut values: Vec<(f64, usize)> = Vec::new();
        for (block, sample) in samples.into_iter().enumerate() {
            if let Sample::Values(own) = sample {
                values.extend(own.into_iter().map(|value| (value, block)));
            }
        }
        let rarer = percentile_.max(100.0 - percentile_);
        let needed = (LEAST_BEYOND * 100.0 / (100.0 - rarer)).round() as usize;
        if values.len() < needed {
            return Err(Unclear::TooFewValues {
                values: values.len(),
                needed,
            });
        }
        values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let steps = values.chunks(values.len().div_ceil(STEPS));
        let mut up_to = vec![0; blocks];
        let count = |step: &[(f64, usize)]| {
            step.iter().for_each(|(_, block)| up_to[*block] += 1);
            up_to.clone()
        };
        let found = Steps {
            percentile: percentile_,
            edges: steps.clone().map(|step| step[step.len() - 1].0).collect(),
            up_to: steps.map(count).collect(),
        };
        let sorted: Vec<f64> = values.into_iter().map(|(value, _)| value).collect();
        Ok((percentile(&sorted, percentile_), found))
    }

    fn resampled(&self, weights: &[u32]) -> f64 {
        let weigh = |up_to: &Vec<u32>| -> f64 {
            let each = up_to.iter().zip(weights);
            let weighed = each.map(|(count, weight)| u64::from(*count) * u64::from(*weight));
            weighed.sum::<u64>() as f64
        };
        let last = self.up_to.len() - 1;
        let wanted = weigh(&self.up_to[last]) * self.percentile / 100.0;
        let at = self.up_to.partition_point(|up_to| weigh(up_to) < wanted);
        let at = at.min(last);
        let (below, edge) = match at.checked_sub(1) {
            Some(before) => (weigh(&self.up_to[before]), self.edges[before]),
            None => (0.0, self.edges[0]),
        };
        let within = weigh(&self.up_to[at]) - below;
        match within > 0.0 {
            true => edge + (self.edges[at] - edge) * (wanted - below) / within,
            false => self.edges[at],
        }
    }
}

#[cfg(test)]
mod tests;
