use rand::RngExt;
use rand::rngs::StdRng;

use super::objective::Objective;
use super::scale::Scale;
use super::trial::Trial;

/// Draws from what the trials leave open.
const DRAWS: usize = 400;

/// Where the objectives stop being met, as far as the trials tell.
#[derive(Clone, Debug)]
pub(super) struct CapacityEstimate {
    /// Drawn levels in ascending order: the largest that meets all objectives. 0 is below the least tried level,
    /// infinite above the greatest.
    draws: Vec<f64>,
    /// The objective that most draws stop at.
    pub bound_by: Option<usize>,
}

impl CapacityEstimate {
    /// Of trials in ascending order of their levels, one for each level.
    ///
    /// Each draw is a monotone fit [Barlow et al. 1972] of drawn margins for each objective, and stops where the first
    /// one crosses the allowed share. Nothing is known between two neighbouring levels, so the draw is any level between
    /// them: a cliff becomes an interval.
    pub fn of(
        trials: &[Trial],
        objectives: &[Objective],
        scale: Scale,
        rng: &mut StdRng,
    ) -> CapacityEstimate {
        let mut stops = vec![0_usize; objectives.len()];
        let draws = (0..DRAWS).map(|_| {
            let crossings = (0..objectives.len()).map(|at| {
                let margins = trials.iter().map(|trial| drawn(trial, at, objectives, rng));
                let fitted = isotonic(&Vec::from_iter(margins));
                fitted.iter().take_while(|margin| **margin <= 0.0).count()
            });
            let crossings = Vec::from_iter(crossings);
            let met = crossings.iter().copied().min().unwrap_or(trials.len());
            if met < trials.len() {
                let stopped = crossings.iter().position(|crossing| *crossing == met);
                stopped.into_iter().for_each(|at| stops[at] += 1);
            }
            scale.spread(between(trials, met, scale, rng), rng)
        });
        let mut draws = Vec::from_iter(draws);
        draws.sort_by(f64::total_cmp);
        let bound_by = (0..stops.len()).max_by_key(|at| stops[*at]);
        CapacityEstimate {
            draws,
            bound_by: bound_by.filter(|at| stops[*at] > 0),
        }
    }

    /// The level below which this share of the draws is.
    pub fn quantile(&self, share: f64) -> f64 {
        let at = (share * (self.draws.len() - 1) as f64).round();
        self.draws[at as usize]
    }
}

/// A drawn margin of an objective, and its weight.
fn drawn(trial: &Trial, at: usize, objectives: &[Objective], rng: &mut StdRng) -> (f64, f64) {
    let (count, allowed) = (trial.counts[at], objectives[at].allowed);
    let (counted, weight) = count.margin(allowed);
    let margin = count.drawn_margin(allowed, rng);
    match trial.is_saturated {
        // Whatever was counted would have become worse.
        true => (margin.max(counted).max(1.0), weight.max(1e6)),
        false => (margin, weight),
    }
}

/// A level at which the first `met` trials' levels are met, and the next is not.
fn between(trials: &[Trial], met: usize, scale: Scale, rng: &mut StdRng) -> f64 {
    let Some(next) = trials.get(met) else {
        return f64::INFINITY;
    };
    let Some(last) = met.checked_sub(1).and_then(|at| trials.get(at)) else {
        return 0.0;
    };
    let (last, next) = (last.level.value(), next.level.value());
    match scale {
        Scale::Concurrency => {
            rng.random_range(last as u64..(next as u64).max(last as u64 + 1)) as f64
        }
        Scale::Rate => last * (next / last).powf(rng.random::<f64>()),
    }
}

/// The weighted least-squares fit among sequences that never fall, by pooling adjacent violators. Each value comes with
/// its weight (above 0).
pub(super) fn isotonic(values: &[(f64, f64)]) -> Vec<f64> {
    // Blocks of one fitted value: the weighted mean, the weight, and how many values it stands for.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::with_capacity(values.len());
    for (value, weight) in values {
        let mut block = (*value, *weight, 1);
        while let Some(before) = blocks.pop_if(|before| before.0 >= block.0) {
            let weight = before.1 + block.1;
            let mean = (before.0 * before.1 + block.0 * block.1) / weight;
            block = (mean, weight, before.2 + block.2);
        }
        blocks.push(block);
    }
    let fitted = blocks.into_iter();
    fitted
        .flat_map(|(mean, _, count)| std::iter::repeat_n(mean, count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fit_never_falls_and_keeps_what_rises() {
        let fit = |values: &[f64]| isotonic(&Vec::from_iter(values.iter().map(|v| (*v, 1.0))));
        assert_eq!(fit(&[-2.0, -1.0, 3.0]), [-2.0, -1.0, 3.0]);
        assert_eq!(fit(&[1.0, 3.0, 2.0, 6.0]), [1.0, 2.5, 2.5, 6.0]);
        assert_eq!(fit(&[3.0, 2.0, 1.0]), [2.0; 3]);
        assert_eq!(fit(&[]), [0.0; 0]);
        let weighted = isotonic(&[(4.0, 3.0), (0.0, 1.0)]);
        assert_eq!(weighted, [3.0, 3.0]);
    }
}
