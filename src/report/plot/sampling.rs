//! Fewer points for a plot; figures are always computed from all values.

use crate::metrics::SortedValues;

/// About `most` points of a curve: the first, least, greatest and last of each section, so that peaks are kept.
pub(super) fn thinned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    if points.len() <= most.max(4) {
        return points.to_vec();
    }
    let section = points.len().div_ceil((most / 4).max(1));
    let mut kept = Vec::with_capacity(most);
    for points in points.chunks(section) {
        let by_height = |a: &usize, b: &usize| points[*a].1.total_cmp(&points[*b].1);
        let places = 0..points.len();
        let mut places = [
            0,
            places.clone().min_by(by_height).unwrap_or(0),
            places.clone().max_by(by_height).unwrap_or(0),
            points.len() - 1,
        ];
        places.sort_unstable();
        let mut last = None;
        for place in places {
            if last.replace(place) != Some(place) {
                kept.push(points[place]);
            }
        }
    }
    kept
}

/// At most `most` steps of the distribution of sorted values: a value, and the share of values up to it. The
/// least and the greatest value are included.
pub(super) fn steps(sorted: &SortedValues, most: u64) -> Vec<(f64, f64)> {
    let Some(last) = sorted.len().checked_sub(1) else {
        return Vec::new();
    };
    let count = most.clamp(2, sorted.len().max(2));
    let mut steps: Vec<(f64, f64)> = (0..count)
        .map(|step| {
            let rank = (step as f64 / (count - 1) as f64 * last as f64).round() as u64;
            (sorted.at(rank), (rank + 1) as f64 / sorted.len() as f64)
        })
        .collect();
    // Of equal values the last has the share up to them.
    steps.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 = next.1;
        }
        same
    });
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thinned_curve_keeps_its_ends_and_its_peaks() {
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|x| (f64::from(x), 1.0)).collect();
        points[4_321].1 = 99.0;
        points[6_789].1 = -5.0;
        let kept = thinned(&points, 400);
        assert!(kept.len() <= 404, "{}", kept.len());
        for peak in [points[0], points[4_321], points[6_789], points[9_999]] {
            assert!(kept.contains(&peak), "{peak:?}");
        }
        assert!(kept.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(thinned(&points[..3], 400), points[..3]);
        assert!(thinned(&[], 400).is_empty());
    }

    #[test]
    fn the_steps_of_a_distribution_end_at_its_extremes() {
        let sorted: SortedValues = (0..10_000).map(f64::from).collect();
        let steps_of_all = steps(&sorted, 400);
        assert_eq!(steps_of_all.len(), 400);
        assert_eq!(steps_of_all[0], (0.0, 1e-4));
        assert_eq!(steps_of_all[399], (9_999.0, 1.0));
        let steps_of = |values: &[f64]| steps(&values.iter().copied().collect(), 400);
        assert_eq!(steps_of(&[7.0]), [(7.0, 1.0)]);
        assert_eq!(steps_of(&[7.0, 7.0, 9.0]), [(7.0, 2.0 / 3.0), (9.0, 1.0)]);
        assert!(steps_of(&[]).is_empty());
    }
}
