//! How often a search for the capacity, and a verdict on two of them, is wrong: searches on simulated deployments of
//! known capacity.
//!
//! The truth of each case comes from 60 trials at each level. Each search has seeds of its own
//! and runs in virtual time; beside it a plain bisection, which takes the share it sees for the truth, has as much
//! time at each level.
//!
//! `cargo bench --bench capacity_calibration` takes some minutes and prints its tables; `-- verdicts` prints only that of
//! the verdicts. With `-- --test` each case is searched once.

mod verdicts;

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use comfy_table::{Table, presets};
use servemark::internals::capacity::{
    Judgement, Next, Objective, Scale, Search, Trial, objectives,
};
use servemark::internals::config::{Limit, Percentile, Slo};
use servemark::internals::engine::{Preset, Slowdown};
use servemark::internals::level::Level;
use servemark::internals::load::{OPEN, Sampling};
use servemark::internals::simulation::{VirtualLoad, VirtualSetup};
use verdicts::Verdicts;

/// Searches of each case.
const SEARCHES: u64 = 125;

/// Comparisons of two searches, of each case.
const COMPARISONS: u64 = 60;

/// Noise of a server that has its GPUs for itself.
const NOISE: &str = "step=0.05,drift=0.005:20,stall=0.05:50";

/// Trials that show the truth, at each level.
const TRUTH: u64 = 60;

const OUTPUT_TOKENS: NonZeroU32 = NonZeroU32::new(128).expect("above 0");

/// A deployment, its objectives, and the kind of level that is searched.
struct Case {
    preset: &'static str,
    scale: Scale,
    ttft: Option<Limit>,
    tpot: Option<Limit>,
}

const fn limit(ms: f64, percentile: Percentile) -> Option<Limit> {
    Some(Limit { ms, percentile })
}

const CASES: [Case; 4] = [
    Case {
        preset: "sim-small",
        scale: Scale::Concurrency,
        ttft: None,
        tpot: limit(6.0, Percentile::P95),
    },
    Case {
        preset: "llama3-8b-h100",
        scale: Scale::Concurrency,
        ttft: limit(150.0, Percentile::P95),
        tpot: limit(12.0, Percentile::P90),
    },
    Case {
        preset: "sim-small",
        scale: Scale::Rate,
        ttft: limit(60.0, Percentile::P90),
        tpot: None,
    },
    Case {
        preset: "llama3-8b-h100",
        scale: Scale::Rate,
        ttft: limit(60.0, Percentile::P95),
        tpot: limit(12.0, Percentile::P95),
    },
];

impl Case {
    fn objectives(&self) -> Vec<Objective> {
        objectives(&Slo {
            ttft: self.ttft,
            tpot: self.tpot,
            ..Slo::default()
        })
    }

    fn search(&self) -> Search {
        Search::new(self.scale, self.objectives(), 4.0, 4_096.0)
    }

    fn name(&self) -> String {
        let names = self.objectives().into_iter().filter(Objective::is_latency);
        let names = Vec::from_iter(names.map(|objective| objective.name)).join(", ");
        format!("{} {:?}, {names}", self.preset, self.scale)
    }

    /// A trial of servers whose steps take `slower` times as long.
    fn trial(&self, level: Level, slower: f64, seed: u64) -> Trial {
        let setup = VirtualSetup::new(Preset::named(self.preset).expect("a shipped preset"));
        let setup = VirtualSetup {
            seeds: seed.into(),
            noise: NOISE.parse().expect("a noise"),
            slowdown: Slowdown::uniform(slower),
            output_tokens: OUTPUT_TOKENS,
            ..setup
        };
        let setup = match level {
            Level::Concurrency(concurrency) => VirtualSetup {
                concurrency,
                ..setup
            },
            Level::Rate(rate) => VirtualSetup {
                shape: &OPEN,
                request_rate: rate.per_second(),
                concurrency: NonZeroUsize::new(4_096).expect("above 0"),
                ..setup
            },
        };
        // As `servemark capacity` does by default.
        let (warm_up_s, measurement_s) = match self.scale {
            Scale::Concurrency => (2, 10),
            Scale::Rate => (10, 30),
        };
        let sampling = Sampling {
            warm_up: Duration::from_secs(warm_up_s),
            measurement: Duration::from_secs(measurement_s),
            windows: 10,
        };
        let mut load = VirtualLoad::start(setup).expect("a sound preset");
        Trial::of(level, &sampling.run(&mut load), &self.objectives())
    }

    /// Whether the level meets the objectives by the counts of so many runs alone.
    fn meets(&self, level: Level, runs: u64, seed: u64) -> bool {
        let trials = (0..runs).map(|run| self.trial(level, 1.0, seed * 100 + run));
        let trials = Vec::from_iter(trials);
        let is_within = |(at, objective): (usize, &Objective)| {
            let missed: u64 = trials.iter().map(|trial| trial.counts[at].missed).sum();
            let all: u64 = trials.iter().map(|trial| trial.counts[at].requests).sum();
            missed as f64 <= objective.allowed * all as f64
        };
        // A trial may be called saturated by chance.
        let saturated = trials.iter().filter(|trial| trial.is_saturated).count();
        2 * saturated <= trials.len() && self.objectives().iter().enumerate().all(is_within)
    }

    /// The largest level that meets the objectives, by plain bisection.
    fn bisect(&self, runs: u64, seed: u64, width: f64) -> f64 {
        let mut seed = seed.wrapping_mul(1_000);
        let mut is_met = |value: f64| {
            seed += 1;
            self.meets(self.scale.level(value), runs, seed)
        };
        let (mut met, mut missed) = (0.0, 4.0);
        while is_met(missed) && missed < 4_096.0 {
            (met, missed) = (missed, missed * 4.0);
        }
        let least = match self.scale {
            Scale::Concurrency => 1.0,
            Scale::Rate => 0.01,
        };
        while missed > f64::max(met, least) * width
            && (self.scale == Scale::Rate || missed - met > 1.0)
        {
            let middle = match self.scale {
                Scale::Concurrency => ((met + missed) / 2.0).floor(),
                Scale::Rate => (met.max(least) * missed).sqrt(),
            };
            match is_met(middle) {
                true => met = middle,
                false => missed = middle,
            }
        }
        met
    }
}

/// What became of the searches of a case.
#[derive(Default)]
struct Tally {
    searches: u64,
    held: u64,
    passes: u64,
    false_passes: u64,
    answers_beyond: u64,
    bisection_beyond: u64,
    trials: Vec<usize>,
    widths: Vec<f64>,
}

impl Tally {
    fn of(case: &Case, truth: f64, searches: u64) -> Tally {
        let mut tally = Tally::default();
        for seed in 1..=searches {
            let mut search = case.search();
            while let Next::Measure(level) = search.next_level() {
                let nth = search.trials().len() as u64;
                search.add(case.trial(level, 1.0, seed * 1_000_000 + nth));
            }
            let capacity = search.capacity();
            let answer = capacity.level.map_or(0.0, Level::value);
            let upper = capacity.upper.unwrap_or(f64::INFINITY);
            let passes = capacity.confirmed == Some(Judgement::Passes);
            // The truth lies between two whole numbers; a rate is known to three digits.
            let beyond = answer > truth * 1.01;
            tally.searches += 1;
            tally.held += u64::from((capacity.lower * 0.99..=upper * 1.01).contains(&truth));
            tally.passes += u64::from(passes);
            tally.false_passes += u64::from(passes && beyond);
            tally.answers_beyond += u64::from(beyond);
            tally.trials.push(search.trials().len());
            tally.widths.push(upper / capacity.lower.max(1e-9) - 1.0);
            let bisected = case.bisect(1, seed, 1.05);
            tally.bisection_beyond += u64::from(bisected > truth * 1.01);
        }
        tally.trials.sort_unstable();
        tally.widths.sort_by(f64::total_cmp);
        tally
    }

    fn row(&self, case: &Case, truth: f64) -> Vec<String> {
        let share = |count: u64| format!("{:.1} %", 100.0 * count as f64 / self.searches as f64);
        vec![
            case.name(),
            case.scale.level(truth).value_text(),
            self.searches.to_string(),
            share(self.held),
            share(self.passes),
            share(self.false_passes),
            share(self.answers_beyond),
            share(self.bisection_beyond),
            self.trials[self.trials.len() / 2].to_string(),
            format!("{:.0} %", 100.0 * self.widths[self.widths.len() / 2]),
        ]
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |option: &str| arguments.iter().any(|argument| argument == option);
    if given("--list") {
        return;
    }
    let is_small = given("--test") || !given("--bench");
    let (searches, truth) = if is_small { (1, 2) } else { (SEARCHES, TRUTH) };
    if !given("verdicts") {
        print(SEARCHES_HEAD, |case| {
            let truth = case.bisect(truth, 7_777, 1.002);
            Tally::of(case, truth, searches).row(case, truth)
        });
    }
    let comparisons = searches.min(COMPARISONS);
    print(Verdicts::HEAD, |case| {
        Verdicts::of(case, comparisons).row(case)
    });
}

/// Prints a row for each case.
fn print<const N: usize>(head: [&str; N], row: impl Fn(&Case) -> Vec<String> + Sync) {
    let row = &row;
    let rows = std::thread::scope(|scope| {
        let cases = CASES.each_ref().map(|case| scope.spawn(move || row(case)));
        cases.map(|case| case.join().expect("no panic"))
    });
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(head);
    table.add_rows(rows);
    println!("{table}\n");
}

const SEARCHES_HEAD: [&str; 10] = [
    "case",
    "capacity",
    "searches",
    "interval holds it",
    "confirmed",
    "false passes",
    "answer beyond",
    "bisection beyond",
    "median trials",
    "median width",
];
