//! Trends over more than two sides, version by version.

use pep440_rs::Version;

use super::{Comparison, IncomparableSides, RunSet, Thresholds, compare_pairs};

/// Sides in order, each compared with the one before it, and the last with the first.
#[derive(Clone, Debug)]
pub struct Trend {
    /// Each side against the one before it.
    pub steps: Vec<Comparison>,
    /// The last side against the first.
    pub whole: Comparison,
}

impl Trend {
    /// Compares the sides in their order; the p-values of all pairs are adjusted together.
    ///
    /// # Errors
    /// [`IncomparableSides`] for the first two sides that cannot be compared, or with fewer than two sides.
    pub fn of(sides: &[RunSet], thresholds: &Thresholds) -> Result<Trend, IncomparableSides> {
        let (Some(first), Some(last)) = (sides.first(), sides.last()) else {
            let side = "a trend".to_owned();
            return Err(IncomparableSides::Empty { side });
        };
        let steps = sides.windows(2).map(|pair| (&pair[0], &pair[1]));
        let mut steps = compare_pairs(steps.chain([(first, last)]), thresholds)?;
        // The first and last side were compared last.
        let whole = steps.pop().ok_or(IncomparableSides::Empty {
            side: first.name.clone(),
        })?;
        Ok(Trend { steps, whole })
    }
}

/// The sides in the order of their servers' versions ([PEP 440], which vLLM follows). Sides without a
/// valid version keep their places.
///
/// [PEP 440]: https://peps.python.org/pep-0440/#summary-of-permitted-suffixes-and-relative-ordering
pub fn by_version(sides: Vec<RunSet>) -> Vec<RunSet> {
    let versions: Vec<Option<Version>> = sides.iter().map(version).collect();
    let mut readable: Vec<usize> = (0..sides.len())
        .filter(|at| versions[*at].is_some())
        .collect();
    let places = readable.clone();
    readable.sort_by(|a, b| versions[*a].cmp(&versions[*b]));
    let mut order: Vec<usize> = (0..sides.len()).collect();
    for (place, side) in places.into_iter().zip(readable) {
        order[place] = side;
    }
    let mut sides: Vec<Option<RunSet>> = sides.into_iter().map(Some).collect();
    order
        .into_iter()
        .filter_map(|at| sides[at].take())
        .collect()
}

/// Version of a side's servers, if they have the same valid one.
fn version(side: &RunSet) -> Option<Version> {
    let server = side.server();
    let (_, version) = server.split_once(' ')?;
    version.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Preset;
    use crate::simulation::{VirtualLoad, VirtualSetup, record};
    use crate::verdict::{Figure, Verdict};

    fn side(name: &str, server: Option<&str>, seed: u64, slowdown: &str) -> RunSet {
        let setup = VirtualSetup {
            seeds: seed.into(),
            slowdown: slowdown.parse().expect("valid"),
            ..VirtualSetup::new(Preset::named("sim-small").expect("shipped"))
        };
        let mut load = VirtualLoad::start(setup.clone()).expect("sound");
        let windows = (0..6).map(|_| load.window(2)).collect();
        let mut record = record(&setup, "chat_throughput", &[windows]);
        record.endpoints[0].server = server.map(str::to_owned);
        RunSet::new(name, [record])
    }

    #[test]
    fn sides_come_in_the_order_of_their_versions_and_unknown_ones_stay() {
        let sides = [
            ("a", Some("vLLM 0.32.0")),
            ("b", None),
            ("c", Some("vLLM 0.32.0rc1")),
            ("d", Some("vLLM 0.9.2")),
            ("e", Some("vLLM 0.32.0+cpu")),
            ("f", Some("vLLM 0.31.0.dev3+g12ab")),
        ];
        let sides = sides.map(|(name, server)| side(name, server, 0, "0%"));
        let order = by_version(sides.into());
        let order: Vec<&str> = order.iter().map(|side| side.name.as_str()).collect();
        assert_eq!(order, ["d", "b", "f", "c", "a", "e"]);
    }

    #[test]
    fn each_side_is_compared_with_the_one_before_and_the_last_with_the_first() {
        let sides = [
            side("1", Some("vLLM 1"), 1, "0%"),
            side("2", Some("vLLM 2"), 2, "12%"),
            side("3", Some("vLLM 3"), 3, "12%"),
        ];
        let thresholds = Thresholds::of([Figure::TokS]);
        let trend = Trend::of(&sides, &thresholds).expect("comparable");
        let verdict = |comparison: &Comparison| comparison.points[0].figure_changes[0].verdict;
        let steps: Vec<Verdict> = trend.steps.iter().map(verdict).collect();
        assert_eq!(steps, [Verdict::Regressed, Verdict::Unchanged]);
        assert_eq!(verdict(&trend.whole), Verdict::Regressed);
        assert_eq!(
            (trend.whole.before.as_str(), trend.whole.after.as_str()),
            ("1", "3")
        );
        // Three p-values are one family: the largest of them is not adjusted at all.
        let adjusted = |c: &Comparison| c.points[0].figure_changes[0].adjusted_p.expect("judged");
        let own = |c: &Comparison| {
            let change = c.points[0].figure_changes[0].change.clone();
            change.expect("measured").p_value
        };
        assert!(adjusted(&trend.whole) > own(&trend.whole));
        assert_eq!(adjusted(&trend.steps[1]), own(&trend.steps[1]));
        assert!(Trend::of(&[], &thresholds).is_err());
    }
}
