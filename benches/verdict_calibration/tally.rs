//! Results of many comparisons of the same kind.

use std::sync::atomic::{AtomicU64, Ordering};

use servemark::internals::config::Metric;
use servemark::internals::verdict::{Comparison, Figure, Thresholds, Verdict, compare};

use crate::Result;
use crate::criterion_alone::Regressed;
use crate::virtual_runs::Trial;

/// Comparisons, counted by what was called.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub comparisons: usize,
    /// With any figure called *regressed*.
    pub regressed: usize,
    /// With any figure called *improved*; Criterion's are not counted.
    pub improved: Option<usize>,
    /// With the figure that shows a slow-down called *regressed* at one point or more.
    pub seen: usize,
    /// Sum of the changes of output tok/s over comparisons and points.
    tok_s_changes: f64,
    /// Sum of half the widths of their intervals.
    tok_s_half_widths: f64,
    tok_s_measured: usize,
}

impl Tally {
    /// Simulates and judges `count` comparisons like `trial`.
    pub fn of(trial: Trial, count: u64) -> Result<Tally> {
        let next = AtomicU64::new(0);
        let work = || -> Result<Tally> {
            let mut tally = Tally::default();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count {
                    return Ok(tally);
                }
                let [before, after] = trial.numbered(at).sides()?;
                let comparison = compare(&before, &after, &Thresholds::default())?;
                tally.add(&comparison, trial.family.shows_slowdown());
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let mut all = Tally::default();
            for worker in workers {
                all.join(
                    &worker
                        .join()
                        .map_err(|_| "a thread of the simulation panicked")??,
                );
            }
            Ok(all)
        })
    }

    /// Takes one more comparison into account, of which `shows_slowdown` is the figure that shows a slower server.
    pub fn add(&mut self, comparison: &Comparison, shows_slowdown: Figure) {
        self.comparisons += 1;
        self.regressed += usize::from(comparison.count(Verdict::Regressed) > 0);
        let improved = usize::from(comparison.count(Verdict::Improved) > 0);
        self.improved = Some(self.improved.unwrap_or(0) + improved);
        let of = |figure| {
            let changes = comparison.figure_changes();
            changes.filter(move |(_, change)| change.figure == figure)
        };
        let seen = of(shows_slowdown).any(|(_, entry)| entry.verdict == Verdict::Regressed);
        self.seen += usize::from(seen);
        for change in of(Figure::TokS).filter_map(|(_, entry)| entry.change.as_ref().ok()) {
            self.tok_s_changes += change.relative;
            self.tok_s_half_widths += (change.interval.1 - change.interval.0) / 2.0;
            self.tok_s_measured += 1;
        }
    }

    /// Criterion's results for the same comparisons.
    pub fn of_criterion(trials: &[Regressed]) -> Tally {
        let any = |trial: &&Regressed| !trial.is_empty();
        let tok_s = |trial: &&Regressed| trial.contains_key(&Metric::OutputTokS);
        Tally {
            comparisons: trials.len(),
            regressed: trials.iter().filter(any).count(),
            seen: trials.iter().filter(tok_s).count(),
            ..Tally::default()
        }
    }

    fn join(&mut self, other: &Tally) {
        self.comparisons += other.comparisons;
        self.regressed += other.regressed;
        self.improved = match (self.improved, other.improved) {
            (None, None) => None,
            (mine, others) => Some(mine.unwrap_or(0) + others.unwrap_or(0)),
        };
        self.seen += other.seen;
        self.tok_s_changes += other.tok_s_changes;
        self.tok_s_half_widths += other.tok_s_half_widths;
        self.tok_s_measured += other.tok_s_measured;
    }

    /// Mean change of output tok/s, and mean half-width of its interval (%); `None` without any.
    pub fn tok_s(&self) -> Option<(f64, f64)> {
        let mean = |sum: f64| 100.0 * sum / self.tok_s_measured as f64;
        (self.tok_s_measured > 0).then(|| (mean(self.tok_s_changes), mean(self.tok_s_half_widths)))
    }
}

/// A method's row: false alarms among equal servers, then how often each slow-down was seen.
pub fn row(name: &str, equal: &Tally, slower: &[Tally]) -> Vec<String> {
    let of = |count: usize, tally: &Tally| share(count, tally.comparisons);
    let mut row = vec![
        format!("{name} ({} comparisons)", equal.comparisons),
        of(equal.regressed, equal),
        equal
            .improved
            .map_or("not counted".to_owned(), |improved| of(improved, equal)),
    ];
    row.extend(slower.iter().map(|tally| of(tally.seen, tally)));
    row
}

/// `4.5 %`
pub fn share(count: usize, of: usize) -> String {
    format!("{:.1} %", 100.0 * count as f64 / of.max(1) as f64)
}
