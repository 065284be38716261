//! One figure over the blocks of one run: its value, and its variance by a bootstrap.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::NotComparable;
use super::figure::{Figure, WindowSample};
use crate::config::Slo;
use crate::load::Window;
use crate::metrics::{SortedValues, TooFewValues};

/// Most blocks of a run. More windows are joined: more blocks would not change an interval.
const MOST_BLOCKS: usize = 64;

/// Fewest blocks for an estimate of the variance.
const LEAST_BLOCKS: usize = 5;

/// Fewest blocks that may still be joined.
const JOINABLE_BLOCKS: usize = 2 * LEAST_BLOCKS;

/// Resamples of the bootstrap: they give the standard error to about 2 %.
const RESAMPLES: usize = 1_000;

/// Number of steps of the pooled values in which a resample's percentile is looked up.
const STEPS: usize = 1_000;

/// The samples of one run, joined to independent blocks.
#[derive(Debug)]
pub(super) struct BlockSeries {
    value: f64,
    blocks: Blocks,
}

#[derive(Debug)]
enum Blocks {
    /// Numerator and denominator of each.
    Ratios(Vec<(f64, f64)>),
    Percentiles(Steps),
}

/// The values of all blocks in steps of about equally many, with the counts of each block.
#[derive(Debug)]
struct Steps {
    /// 0 to 100.
    percentile: f64,
    /// Greatest value of each step.
    edges: Vec<f64>,
    /// For each step, the number of values that each block has up to it.
    up_to: Vec<Vec<u32>>,
}

/// A figure of one run: the logarithm of its value, and its variance.
#[derive(Clone, Copy, Debug)]
pub struct LogEstimate {
    /// Logarithm of the value.
    pub log_value: f64,
    /// Variance of `log_value` within the run.
    pub variance: f64,
    /// Degrees of freedom of that variance.
    pub freedom: f64,
}

impl BlockSeries {
    /// The series of `figure` over the windows of one run.
    pub fn of(figure: Figure, windows: &[Window], slo: &Slo) -> Result<BlockSeries, NotComparable> {
        let samples = samples(figure, windows, slo)?;
        BlockSeries::new(figure, independent(chunked(samples)))
    }

    /// The series of two interleaved runs, joined to blocks in the same way.
    pub fn pair(
        figure: Figure,
        windows: [&[Window]; 2],
        slo: &Slo,
    ) -> Result<[BlockSeries; 2], NotComparable> {
        let [before, after] = windows.map(|windows| samples(figure, windows, slo));
        let (before, after) = (before?, after?);
        if before.len() != after.len() {
            return Err(NotComparable::TooFewWindows {
                windows: before.len().min(after.len()),
                needed: before.len().max(after.len()),
            });
        }
        Ok([
            BlockSeries::new(figure, chunked(before))?,
            BlockSeries::new(figure, chunked(after))?,
        ])
    }

    fn new(figure: Figure, samples: Vec<WindowSample>) -> Result<BlockSeries, NotComparable> {
        let (value, blocks) = match figure.percentile() {
            None => {
                let ratios: Vec<_> = samples.iter().filter_map(WindowSample::ratio).collect();
                let value = quotient(ratios.iter().map(|ratio| (1.0, ratio)));
                (value, Blocks::Ratios(ratios))
            }
            Some(percentile) => {
                let (value, steps) = Steps::new(percentile.percent(), samples)?;
                (value, Blocks::Percentiles(steps))
            }
        };
        match value > 0.0 && value.is_finite() {
            true => Ok(BlockSeries { value, blocks }),
            false => Err(NotComparable::Zero),
        }
    }

    fn len(&self) -> usize {
        match &self.blocks {
            Blocks::Ratios(ratios) => ratios.len(),
            Blocks::Percentiles(steps) => steps.up_to.first().map_or(0, Vec::len),
        }
    }

    /// The figure of a resample in which each block occurs as often as its weight.
    fn resampled(&self, weights: &[u32]) -> f64 {
        match &self.blocks {
            Blocks::Ratios(ratios) => quotient(weights.iter().map(|w| f64::from(*w)).zip(ratios)),
            Blocks::Percentiles(steps) => steps.resampled(weights),
        }
    }

    /// The figure's logarithm, and its variance by a bootstrap over the blocks.
    pub fn estimate(&self) -> LogEstimate {
        LogEstimate {
            log_value: self.value.ln(),
            ..bootstrap(self.len(), |weights| self.resampled(weights).ln())
        }
    }

    /// The logarithm of after ÷ before of two interleaved runs, whose blocks are resampled together.
    pub fn estimate_ratio([before, after]: &[BlockSeries; 2]) -> LogEstimate {
        LogEstimate {
            log_value: (after.value / before.value).ln(),
            ..bootstrap(before.len(), |weights| {
                (after.resampled(weights) / before.resampled(weights)).ln()
            })
        }
    }
}

/// The estimates of `figure` from each run of a side.
pub(super) fn estimates<W: AsRef<[Window]>>(
    figure: Figure,
    runs: &[W],
    slo: &Slo,
) -> Result<Vec<LogEstimate>, NotComparable> {
    let estimate = |run: &W| Ok(BlockSeries::of(figure, run.as_ref(), slo)?.estimate());
    match runs.is_empty() {
        true => Err(NotComparable::NotMeasured),
        false => runs.iter().map(estimate).collect(),
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
/// The variance of resamples of K blocks is too small by (K − 1) ÷ K (Davison and Hinkley 1997, §2.3).
fn bootstrap(blocks: usize, statistic: impl Fn(&[u32]) -> f64) -> LogEstimate {
    // A fixed seed, so that the same records always give the same verdict.
    let mut rng = StdRng::seed_from_u64(0);
    let mut weights = vec![0; blocks];
    let mut values = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        weights.fill(0);
        for _ in 0..blocks {
            weights[rng.random_range(0..blocks)] += 1;
        }
        // A resample has no logarithm if its figure is zero, for example without a good request.
        values.extend(Some(statistic(&weights)).filter(|value| value.is_finite()));
    }
    let freedom = (blocks - 1) as f64;
    LogEstimate {
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

impl WindowSample {
    fn ratio(&self) -> Option<(f64, f64)> {
        match self {
            WindowSample::Ratio {
                numerator,
                denominator,
            } => Some((*numerator, *denominator)),
            WindowSample::Values(_) => None,
        }
    }

    /// The figure of the sample alone, to correlate neighbours.
    fn level(&self) -> f64 {
        match self {
            WindowSample::Ratio {
                numerator,
                denominator,
            } => numerator / denominator,
            WindowSample::Values(values) => values.mean().unwrap_or(f64::NAN),
        }
    }

    fn join(&mut self, other: WindowSample) {
        match (self, other) {
            (
                WindowSample::Ratio {
                    numerator,
                    denominator,
                },
                WindowSample::Ratio {
                    numerator: n,
                    denominator: d,
                },
            ) => {
                *numerator += n;
                *denominator += d;
            }
            (WindowSample::Values(values), WindowSample::Values(more)) => values.absorb(&more),
            _ => unreachable!("all samples of a figure are of one kind"),
        }
    }
}

fn samples(
    figure: Figure,
    windows: &[Window],
    slo: &Slo,
) -> Result<Vec<WindowSample>, NotComparable> {
    // Throughput includes windows in which every request failed; they have no latencies.
    let counts = |window: &&Window| figure.larger_is_better() || window.has_success();
    let windows = windows.iter().filter(counts);
    let samples: Option<Vec<WindowSample>> = windows.map(|w| figure.sample(w, slo)).collect();
    let samples = samples.ok_or(NotComparable::NotMeasured)?;
    match samples.len() {
        windows if windows < LEAST_BLOCKS => Err(NotComparable::TooFewWindows {
            windows,
            needed: LEAST_BLOCKS,
        }),
        _ => Ok(samples),
    }
}

/// Joins neighbours to at most [`MOST_BLOCKS`] blocks of equal size.
fn chunked(samples: Vec<WindowSample>) -> Vec<WindowSample> {
    joined(samples, |len| len.div_ceil(MOST_BLOCKS))
}

/// Joins neighbours in pairs while they are correlated.
///
/// Batch means choose their length in this way (Fishman 1978): the lag-1 correlation of K independent blocks
/// has a standard deviation of about 1 ÷ √K, so a larger one indicates dependence.
fn independent(mut blocks: Vec<WindowSample>) -> Vec<WindowSample> {
    while blocks.len() >= JOINABLE_BLOCKS && lag_1(&blocks) > 1.0 / (blocks.len() as f64).sqrt() {
        blocks = joined(blocks, |_| 2);
    }
    blocks
}

/// Joins every `each` neighbours; the remaining ones join the last block.
fn joined(samples: Vec<WindowSample>, each: impl Fn(usize) -> usize) -> Vec<WindowSample> {
    let each = each(samples.len());
    let whole = (samples.len() / each).max(1);
    let mut blocks: Vec<WindowSample> = Vec::with_capacity(whole);
    for (at, sample) in samples.into_iter().enumerate() {
        match blocks.get_mut((at / each).min(whole - 1)) {
            Some(block) => block.join(sample),
            None => blocks.push(sample),
        }
    }
    blocks
}

/// Correlation of each block's level with the next one's.
fn lag_1(blocks: &[WindowSample]) -> f64 {
    let levels: Vec<f64> = blocks.iter().map(WindowSample::level).collect();
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
    /// The percentile of all values, and their steps.
    fn new(percentile: f64, samples: Vec<WindowSample>) -> Result<(f64, Steps), NotComparable> {
        let blocks: Vec<SortedValues> = samples
            .into_iter()
            .filter_map(|sample| match sample {
                WindowSample::Values(values) => Some(values),
                WindowSample::Ratio { .. } => None,
            })
            .collect();
        let mut all = SortedValues::default();
        blocks.iter().for_each(|block| all.absorb(block));
        TooFewValues::check(all.len(), percentile)?;
        Ok((
            all.percentile(percentile),
            Steps::cut(percentile, &blocks, all.len().div_ceil(STEPS as u64)),
        ))
    }

    /// Divides the values of all blocks into steps of `each` values.
    fn cut(percentile: f64, blocks: &[SortedValues], each: u64) -> Steps {
        let counts = blocks.iter().enumerate().flat_map(|(block, values)| {
            let counts = values.counts();
            counts.map(move |(value, count)| (value, block, count))
        });
        let mut counts: Vec<(f64, usize, u64)> = counts.collect();
        counts.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let (mut edges, mut steps) = (Vec::new(), Vec::new());
        let (mut up_to, mut in_step, mut greatest) = (vec![0_u32; blocks.len()], 0, f64::NAN);
        for (value, block, mut count) in counts {
            greatest = value;
            while count > 0 {
                let taken = count.min(each - in_step);
                up_to[block] =
                    up_to[block].saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
                (count, in_step) = (count - taken, in_step + taken);
                if in_step == each {
                    edges.push(value);
                    steps.push(up_to.clone());
                    in_step = 0;
                }
            }
        }
        if in_step > 0 {
            edges.push(greatest);
            steps.push(up_to);
        }
        Steps {
            percentile,
            edges,
            up_to: steps,
        }
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
