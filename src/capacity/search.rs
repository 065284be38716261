use rand::SeedableRng;
use rand::rngs::StdRng;

use super::answer::Capacity;
use super::fit::CapacityEstimate;
use super::objective::Objective;
use super::scale::Scale;
use super::trial::{Judgement, Trial};
use crate::level::Level;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try this level.
    Measure(Level),
    /// The search is over.
    Done,
}

/// A search for the capacity: says which level to try next, and what is known at its end.
#[derive(Debug)]
pub struct Search {
    scale: Scale,
    objectives: Vec<Objective>,
    first: f64,
    greatest: f64,
    /// Trials after which it narrows no further.
    most_trials: usize,
    /// All trials in their order, those of confirmations included.
    trials: Vec<Trial>,
    confirming: Option<Confirmation>,
    confirmations: u32,
    rng: StdRng,
}

/// Fresh requests at the answer, and one step above.
#[derive(Clone, Debug)]
struct Confirmation {
    answer: Level,
    above: Option<Level>,
    at_answer: Option<Judgement>,
    at_above: Option<Judgement>,
}

/// The interval is narrow enough at this ratio of its ends.
const NARROW: f64 = 1.1;

/// A level is this many times the one before, as long as no limit is in sight.
const GROWTH: f64 = 4.0;

/// Answers that fresh requests contradict before the search gives up.
const MOST_CONFIRMATIONS: u32 = 2;

impl Search {
    /// The usual number of trials after which a search narrows no further.
    pub const MOST_TRIALS: usize = 10;

    /// A search that starts at `first` (requests in flight, or req/s) and tries no level above `greatest`.
    pub fn new(scale: Scale, objectives: Vec<Objective>, first: f64, greatest: f64) -> Search {
        let (least, most) = scale.range();
        let greatest = greatest.clamp(least, most);
        Search {
            scale,
            objectives,
            first: first.clamp(least, greatest),
            greatest,
            most_trials: Search::MOST_TRIALS,
            trials: Vec::new(),
            confirming: None,
            confirmations: 0,
            rng: StdRng::seed_from_u64(0),
        }
    }

    /// The objectives.
    pub fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    /// All trials so far, in their order.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Requests that a trial needs to tell a share near the allowed one: ten that may miss, four that may fail.
    pub fn requests_wanted(&self) -> f64 {
        let wanted = self.objectives.iter().map(|objective| {
            let missed = if objective.is_latency() { 10.0 } else { 4.0 };
            missed / objective.allowed.max(1e-3)
        });
        wanted.fold(0.0, f64::max)
    }

    /// Adds what was seen at the level that [`Search::next_level`] asked for.
    pub fn add(&mut self, trial: Trial) {
        let judged = trial.judge(&self.objectives);
        self.trials.push(trial);
        if let Some(confirming) = &mut self.confirming {
            match confirming.at_answer {
                None => confirming.at_answer = Some(judged),
                Some(_) => confirming.at_above = Some(judged),
            }
        }
    }

    /// Says what to try next.
    pub fn next_level(&mut self) -> Next {
        if let Some(confirming) = &self.confirming {
            match (confirming.at_answer, confirming.at_above, confirming.above) {
                (None, _, _) => return Next::Measure(confirming.answer),
                // An answer that fails is not the answer, whatever is above it.
                (Some(Judgement::Fails), _, _) | (Some(_), Some(Judgement::Passes), _)
                    if self.confirmations < MOST_CONFIRMATIONS =>
                {
                    self.confirming = None;
                    self.most_trials = self.trials.len() + 2;
                }
                (Some(_), None, Some(above)) => return Next::Measure(above),
                _ => return Next::Done,
            }
        }
        if let Some(level) = self.narrow() {
            return Next::Measure(level);
        }
        let estimate = self.estimate();
        let Some(answer) = self.answer(&estimate) else {
            return Next::Done;
        };
        let upper = estimate.quantile(0.975);
        let above = upper.is_finite().then(|| match self.scale {
            Scale::Concurrency => self.scale.level(upper + 1.0),
            Scale::Rate => self.scale.level(upper * 1.02),
        });
        self.confirmations += 1;
        self.confirming = Some(Confirmation {
            answer,
            above,
            at_answer: None,
            at_above: None,
        });
        Next::Measure(answer)
    }

    /// The level at which the answer is least known; none where it is known well enough, or enough has been tried.
    fn narrow(&mut self) -> Option<Level> {
        let levels = self.levels();
        let (Some(lowest), Some(highest)) = (levels.first(), levels.last()) else {
            return Some(self.scale.level(self.first));
        };
        if self.trials.len() >= self.most_trials {
            return None;
        }
        let (lowest, highest) = (lowest.level.value(), highest.level.value());
        let estimate = self.estimate();
        let [lower, median, upper] = [0.025, 0.5, 0.975].map(|share| estimate.quantile(share));
        let least = self.scale.range().0;
        if median.is_infinite() && highest < self.greatest {
            return Some(self.scale.level((highest * GROWTH).min(self.greatest)));
        }
        if median == 0.0 && lowest > least {
            return Some(self.scale.level((lowest / GROWTH).max(least)));
        }
        let is_known = match self.scale {
            Scale::Concurrency => upper - lower <= 1.0 || upper <= lower * NARROW,
            Scale::Rate => upper <= lower * NARROW,
        };
        if is_known || (lower.is_infinite()) || upper == 0.0 {
            return None;
        }
        if upper.is_infinite() && highest < self.greatest {
            return Some(
                self.scale
                    .level((highest * GROWTH.sqrt()).min(self.greatest)),
            );
        }
        // Half of the draws are on either side of the median; where it has been tried, on either side of a quartile.
        let candidates = [0.5, 0.25, 0.75, 0.1, 0.9].map(|share| estimate.quantile(share));
        let sound = candidates.into_iter().filter(|c| c.is_finite() && *c > 0.0);
        let candidates = Vec::from_iter(sound.map(|value| self.scale.level(value)));
        let is_new = |level: &&Level| levels.iter().all(|tried| tried.level != **level);
        let new = candidates.iter().find(is_new).or(candidates.first());
        new.copied()
            .or(Some(self.scale.level(highest.min(self.greatest))))
    }

    /// Trials of one level together, by their levels.
    fn levels(&self) -> Vec<Trial> {
        let mut levels: Vec<Trial> = Vec::new();
        for trial in &self.trials {
            let at = levels.partition_point(|other| other.level < trial.level);
            match levels
                .get_mut(at)
                .filter(|other| other.level == trial.level)
            {
                Some(same) => *same = same.clone().with(trial),
                None => levels.insert(at, trial.clone()),
            }
        }
        levels
    }

    fn estimate(&mut self) -> CapacityEstimate {
        CapacityEstimate::of(&self.levels(), &self.objectives, self.scale, &mut self.rng)
    }

    /// The largest level tried between the lower end of the interval and the median, else the median: a level between
    /// two that were tried may be beyond a cliff.
    fn answer(&self, estimate: &CapacityEstimate) -> Option<Level> {
        let [lower, median] = [0.025, 0.5].map(|share| estimate.quantile(share));
        // Nothing is known beyond the greatest level that was tried.
        let greatest = self.greatest_tried();
        let (lower, median) = (lower.min(greatest), median.min(greatest));
        let tried = self.trials.iter().map(|trial| trial.level);
        let tried = tried.filter(|level| (lower..=median).contains(&level.value()));
        (median > 0.0).then(|| tried.max().unwrap_or_else(|| self.scale.level(median)))
    }

    /// The greatest level that was tried; 0 before the first trial.
    fn greatest_tried(&self) -> f64 {
        let tried = self.trials.iter().map(|trial| trial.level.value());
        tried.fold(0.0, f64::max)
    }

    /// What is known now.
    pub fn capacity(&mut self) -> Capacity {
        let (levels, estimate) = (self.levels(), self.estimate());
        let confirming = self.confirming.as_ref();
        let level = match confirming {
            Some(confirming) => Some(confirming.answer),
            None => self.answer(&estimate),
        };
        let judged = levels.iter().map(|t| (t.level, t.judge(&self.objectives)));
        let judged = Vec::from_iter(judged);
        let fails = |judged: &&(Level, Judgement)| judged.1 == Judgement::Fails;
        let first_failing = judged.iter().filter(fails).map(|judged| judged.0);
        let mut above_answer = first_failing
            .clone()
            .filter(|failing| Some(*failing) > level);
        let passes_above = |failing: Level| {
            let mut above = judged.iter().filter(|judged| judged.0 > failing);
            above.find(|judged| judged.1 == Judgement::Passes)
        };
        let mut inversions =
            first_failing.filter_map(|failing| Some((failing, passes_above(failing)?.0)));
        let upper = estimate.quantile(0.975);
        Capacity {
            level,
            lower: estimate.quantile(0.025).min(self.greatest_tried()),
            upper: upper.is_finite().then_some(upper),
            bound_by: estimate.bound_by.map(|at| self.objectives[at].name.clone()),
            first_failing: above_answer.next(),
            confirmed: confirming.and_then(|confirming| confirming.at_answer),
            not_monotone: inversions.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::{Count, objectives};
    use crate::config::{Limit, Percentile, Slo};

    fn p95() -> Vec<Objective> {
        let limit = Limit {
            ms: 500.0,
            percentile: Percentile::P95,
        };
        objectives(&Slo {
            ttft: Some(limit),
            ..Slo::default()
        })
    }

    /// A trial in which so many of 1,000 requests, at most all, missed the limit.
    fn trial(level: Level, missed: u64) -> Trial {
        let count = |missed: u64| Count::of([(missed.min(1_000), 1_000)].into_iter());
        Trial {
            level,
            counts: vec![count(missed), count(0)],
            rps: 10.0,
            is_saturated: false,
        }
    }

    /// A deployment of which so many of 1,000 requests miss the limit at each level.
    fn search(scale: Scale, missed: impl Fn(f64) -> u64) -> (Capacity, usize) {
        let mut search = Search::new(scale, p95(), 4.0, 4_096.0);
        while let Next::Measure(level) = search.next_level() {
            search.add(trial(level, missed(level.value())));
            assert!(search.trials().len() < 30, "it ends");
        }
        (search.capacity(), search.trials().len())
    }

    #[test]
    fn a_share_that_rises_is_crossed_where_it_is_allowed() {
        let rising = |level: f64| (50.0 * (level / 128.0).powi(4)) as u64;
        let (capacity, trials) = search(Scale::Concurrency, rising);
        let level = capacity.level.expect("some").value();
        assert!((110.0..150.0).contains(&level), "{capacity}");
        assert!(
            capacity.lower <= 128.0 && capacity.upper >= Some(128.0),
            "{capacity}"
        );
        assert_eq!(capacity.bound_by.as_deref(), Some("TTFT P95 ≤ 500 ms"));
        assert!(
            capacity.first_failing > capacity.level && trials <= 16,
            "{capacity}"
        );
        assert_eq!(capacity.not_monotone, None);
        let text = capacity.to_string();
        assert!(
            text.contains("users (95 %: ") && text.contains("; first failing"),
            "{text}"
        );
        let (capacity, _) = search(Scale::Rate, |rate| (50.0 * (rate / 17.0).powi(4)) as u64);
        assert!(
            capacity.lower <= 17.0 && capacity.upper >= Some(17.0),
            "{capacity}"
        );
    }

    #[test]
    fn a_cliff_is_an_interval_of_neighbours() {
        let (capacity, _) = search(
            Scale::Concurrency,
            |level| if level > 77.0 { 900 } else { 1 },
        );
        assert!(
            capacity.lower <= 77.0 && capacity.upper >= Some(77.0),
            "{capacity}"
        );
        assert!(
            capacity.upper.expect("found") - capacity.lower <= 8.0,
            "{capacity}"
        );
        assert_eq!(capacity.confirmed, Some(Judgement::Passes), "{capacity}");
    }

    #[test]
    fn the_ends_of_the_scale_are_named() {
        let (capacity, _) = search(Scale::Concurrency, |_| 0);
        assert_eq!(capacity.to_string(), "at least 4096 users");
        let (capacity, _) = search(Scale::Concurrency, |_| 1_000);
        assert_eq!((capacity.level, capacity.upper), (None, Some(0.0)));
        assert!(capacity.to_string().starts_with("none"), "{capacity}");
    }

    #[test]
    fn a_search_that_ends_early_says_nothing_about_levels_it_has_not_tried() {
        let after_one_trial = |missed| {
            let mut search = Search::new(Scale::Concurrency, p95(), 4.0, 4_096.0);
            let Next::Measure(level) = search.next_level() else {
                panic!("a first level");
            };
            search.add(trial(level, missed));
            search.capacity().to_string()
        };
        assert_eq!(after_one_trial(0), "at least 4 users");
        // Of 1,000 requests 50 may miss the limit: these are too close to tell.
        assert_eq!(after_one_trial(44), "at least 0 users");
        assert_eq!(after_one_trial(57), "none: no level is known to pass");
        assert_eq!(after_one_trial(900), "none: c=4 fails already");
    }

    #[test]
    fn a_deployment_that_is_not_monotone_is_named() {
        let dip = |level: f64| {
            if (3.0..=4.0).contains(&level) || level > 60.0 {
                300
            } else {
                1
            }
        };
        let (capacity, _) = search(Scale::Concurrency, dip);
        // Depending on what was tried.
        if capacity.not_monotone.is_some() {
            assert!(
                capacity
                    .doubts()
                    .iter()
                    .any(|doubt| doubt.contains("not monotone"))
            );
        }
        let mut search = Search::new(Scale::Concurrency, p95(), 4.0, 100.0);
        for (level, missed) in [(4.0, 300), (16.0, 1), (64.0, 900)] {
            let count = |missed| Count::of([(missed, 1_000)].into_iter());
            search.add(Trial {
                level: Scale::Concurrency.level(level),
                counts: vec![count(missed), count(0)],
                rps: 10.0,
                is_saturated: false,
            });
        }
        let inversion = search
            .capacity()
            .not_monotone
            .map(|(a, b)| (a.value(), b.value()));
        assert_eq!(inversion, Some((4.0, 16.0)));
    }
}
