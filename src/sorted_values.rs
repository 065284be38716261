//! Values in order, equal ones once.

/// Sorted values, each with how many there are up to it: gaps between tokens are kept to the microsecond, so that
/// ten million of them have some ten thousand different values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SortedValues {
    /// Values in ascending order, and how many values there are up to each.
    up_to: Vec<(f64, u64)>,
}

/// So many values are sorted at a time, and more once there are more different ones.
const LEAST_BATCH: usize = 1 << 14;

impl SortedValues {
    /// How many there are.
    pub fn len(&self) -> u64 {
        self.up_to.last().map_or(0, |(_, count)| *count)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.up_to.is_empty()
    }

    /// The least.
    pub fn least(&self) -> Option<f64> {
        self.up_to.first().map(|(value, _)| *value)
    }

    /// The greatest.
    pub fn greatest(&self) -> Option<f64> {
        self.up_to.last().map(|(value, _)| *value)
    }

    /// The value at this rank, from 0 on; the greatest beyond the last.
    ///
    /// # Panics
    /// If there are none.
    pub fn at(&self, rank: u64) -> f64 {
        let place = self.up_to.partition_point(|(_, up_to)| *up_to <= rank);
        self.up_to[place.min(self.up_to.len() - 1)].0
    }

    /// Returns the number of values not greater than `value`.
    pub fn count_up_to(&self, value: f64) -> u64 {
        let place = self.up_to.partition_point(|(own, _)| *own <= value);
        place.checked_sub(1).map_or(0, |last| self.up_to[last].1)
    }

    /// Each different value and how often it comes up, in ascending order.
    pub fn counts(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut before = 0;
        self.up_to.iter().map(move |(value, up_to)| {
            let count = up_to - before;
            before = *up_to;
            (*value, count)
        })
    }

    /// The percentile `p` (0–100) by linear interpolation between order statistics, which is numpy's default
    /// and definition 7 of Hyndman and Fan (1996).
    ///
    /// # Panics
    /// If there are none.
    pub fn percentile(&self, p: f64) -> f64 {
        let rank = (self.len() - 1) as f64 * p.clamp(0.0, 100.0) / 100.0;
        let (below, above) = (self.at(rank.floor() as u64), self.at(rank.ceil() as u64));
        below + (above - below) * rank.fract()
    }

    /// The arithmetic mean; `None` of none.
    pub fn mean(&self) -> Option<f64> {
        let sum: f64 = self.counts().map(|(value, n)| value * n as f64).sum();
        (!self.is_empty()).then(|| sum / self.len() as f64)
    }

    /// The standard deviation of the values taken for the whole population, which is numpy's default (`ddof=0`);
    /// `None` of none.
    pub fn population_std(&self) -> Option<f64> {
        let mean = self.mean()?;
        let squares = self.counts().map(|(v, n)| (v - mean).powi(2) * n as f64);
        Some((squares.sum::<f64>() / self.len() as f64).sqrt())
    }

    /// Takes in the values of others.
    pub fn absorb(&mut self, others: &SortedValues) {
        self.merge(others.counts());
    }

    /// Takes in values in ascending order, each with how often it comes up.
    fn merge(&mut self, others: impl Iterator<Item = (f64, u64)>) {
        let mut merged: Vec<(f64, u64)> = Vec::with_capacity(self.up_to.len());
        let mut push = |(value, count): (f64, u64)| {
            let before = merged.last().copied();
            let total = before.map_or(0, |(_, total)| total) + count;
            match merged.last_mut() {
                Some(last) if last.0.total_cmp(&value).is_eq() => last.1 = total,
                _ => merged.push((value, total)),
            }
        };
        let mut own = self.counts().peekable();
        for other in others {
            while let Some(next) = own.next_if(|own| own.0.total_cmp(&other.0).is_le()) {
                push(next);
            }
            push(other);
        }
        own.for_each(push);
        self.up_to = merged;
    }
}

impl FromIterator<f64> for SortedValues {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> SortedValues {
        let mut sorted = SortedValues::default();
        let mut batch = Vec::with_capacity(LEAST_BATCH);
        for value in values {
            batch.push(value);
            if batch.len() >= LEAST_BATCH.max(sorted.up_to.len()) {
                batch.sort_unstable_by(f64::total_cmp);
                sorted.merge(batch.iter().map(|value| (*value, 1)));
                batch.clear();
            }
        }
        batch.sort_unstable_by(f64::total_cmp);
        sorted.merge(batch.iter().map(|value| (*value, 1)));
        sorted.up_to.shrink_to_fit();
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_agree_with_numpy() {
        // numpy.percentile([15, 20, 35, 40, 50], [0, 25, 40, 50, 90, 99, 100])
        let values: SortedValues = [50.0, 15.0, 40.0, 20.0, 35.0].into_iter().collect();
        for (p, expected) in [
            (0.0, 15.0),
            (25.0, 20.0),
            (40.0, 29.0),
            (50.0, 35.0),
            (90.0, 46.0),
            (99.0, 49.6),
            (100.0, 50.0),
        ] {
            assert!((values.percentile(p) - expected).abs() < 1e-9, "p{p}");
        }
        // numpy.std([15, 20, 35, 40, 50])
        let std = values.population_std().unwrap();
        assert!((std - 12.884_098_726_725_126).abs() < 1e-12, "{std}");
        let one: SortedValues = [7.0].into_iter().collect();
        assert_eq!(
            (one.percentile(99.0), one.population_std()),
            (7.0, Some(0.0))
        );
    }

    #[test]
    fn equal_values_are_kept_once_and_counted_whole() {
        // Several batches, each with values that were there and values that were not.
        let all: Vec<f64> = (0..100_000_u32)
            .map(|k| f64::from(k * 7_919 % 331))
            .collect();
        let sorted: SortedValues = all.iter().copied().collect();
        assert_eq!((sorted.len(), sorted.up_to.len()), (100_000, 331));
        let mut plain = all;
        plain.sort_unstable_by(f64::total_cmp);
        for rank in [0, 1, 49_999, 77_777, 99_999] {
            assert_eq!(sorted.at(rank), plain[rank as usize], "{rank}");
        }
        for value in [-1.0, 0.0, 100.5, 330.0, 1e9] {
            let count = plain.iter().filter(|own| **own <= value).count() as u64;
            assert_eq!(sorted.count_up_to(value), count, "{value}");
        }
    }

    #[test]
    fn an_empty_set_has_no_figure() {
        let none = SortedValues::default();
        assert_eq!(
            (none.mean(), none.population_std(), none.least()),
            (None, None, None)
        );
        assert_eq!((none.len(), none.is_empty()), (0, true));
    }
}
