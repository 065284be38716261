//! How often the verdict on two capacities is wrong: pairs of searches, each against newly started servers.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution as _, LogNormal};
use serde_json::json;
use servemark::internals::capacity::Next;
use servemark::internals::results::CapacityRecord;
use servemark::internals::verdict::{RunSet, Thresholds, Verdict, compare};

use super::Case;

/// By how much the steps of the slower servers are longer.
const SLOWER: [f64; 3] = [0.05, 0.1, 0.2];

/// Standard deviation of the logarithm of the steps between runs: as on the quiet machine of `verdict_calibration`.
const BETWEEN_RUNS: f64 = 0.005;

/// What became of the comparisons of a case.
pub struct Verdicts {
    comparisons: u64,
    regressed: u64,
    improved: u64,
    /// Called regressed, for each of [`SLOWER`], and the mean change.
    slower: [(u64, f64); 3],
    /// Half widths of the intervals between equal servers.
    half_widths: Vec<f64>,
    /// Standard deviation of the logarithm of the level of equal servers.
    deviation: f64,
}

impl Verdicts {
    pub const HEAD: [&str; 9] = [
        "case",
        "comparisons",
        "equal: regressed",
        "equal: improved",
        "steps 5 % longer: regressed",
        "10 % longer",
        "20 % longer",
        "median half width",
        "deviation between searches",
    ];

    pub fn of(case: &Case, comparisons: u64) -> Verdicts {
        let search = |slower: f64, seed| search(case, 1.0 + slower, seed);
        let equal = Vec::from_iter((0..2 * comparisons).map(|seed| search(0.0, seed)));
        let mut verdicts = Verdicts {
            comparisons,
            regressed: 0,
            improved: 0,
            slower: [(0, 0.0); 3],
            half_widths: Vec::new(),
            deviation: deviation(&equal),
        };
        for (pair, seed) in equal.chunks_exact(2).zip(1_000..) {
            let (verdict, _, half_width) = judge(&pair[0], &pair[1]);
            verdicts.regressed += u64::from(verdict == Verdict::Regressed);
            verdicts.improved += u64::from(verdict == Verdict::Improved);
            verdicts.half_widths.extend(half_width);
            for (slower, (count, change)) in SLOWER.into_iter().zip(&mut verdicts.slower) {
                let (verdict, relative, _) = judge(&pair[0], &search(slower, seed));
                *count += u64::from(verdict == Verdict::Regressed);
                *change += relative.unwrap_or(0.0) / comparisons as f64;
            }
        }
        verdicts.half_widths.sort_by(f64::total_cmp);
        verdicts
    }

    pub fn row(&self, case: &Case) -> Vec<String> {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let share = |count: u64| percent(count as f64 / self.comparisons as f64);
        let half_width = self.half_widths.get(self.half_widths.len() / 2);
        let mut row = vec![
            case.name(),
            self.comparisons.to_string(),
            share(self.regressed),
            share(self.improved),
        ];
        let slower = self.slower.iter();
        row.extend(slower.map(|(count, change)| {
            format!("{} (mean change {})", share(*count), percent(*change))
        }));
        row.push(half_width.map_or("n/a".to_owned(), |half| format!("±{}", percent(*half))));
        row.push(percent(self.deviation));
        row
    }
}

/// A search of servers whose steps take `slower` times as long, but for what runs differ by.
fn search(case: &Case, slower: f64, seed: u64) -> CapacityRecord {
    let mut process = StdRng::seed_from_u64(seed ^ slower.to_bits());
    let offset = LogNormal::new(0.0, BETWEEN_RUNS).expect("a deviation");
    let slower = slower * offset.sample(&mut process);
    let mut search = case.search();
    while let Next::Measure(level) = search.next_level() {
        let nth = search.trials().len() as u64;
        search.add(case.trial(level, slower, slower.to_bits() ^ (nth << 52)));
    }
    CapacityRecord {
        schema_version: CapacityRecord::SCHEMA_VERSION,
        servemark_version: String::new(),
        run_id: format!("{seed} {slower}"),
        ended_unix_s: 0.0,
        bench: "capacity".to_owned(),
        prompt: "100".to_owned(),
        prompt_tokens: 100,
        lengths: None,
        workload: None,
        api: "chat_completions".to_owned(),
        simulated: Some(case.preset.to_owned()),
        deployment: None,
        endpoints: Vec::new(),
        config: json!({}),
        objectives: search.objectives().to_vec(),
        trials: Vec::new(),
        output_tokens: Default::default(),
        client_bound: Vec::new(),
        notes: Vec::new(),
        partial: None,
        capacity: search.capacity(),
    }
}

/// The verdict, the change, and half of its interval.
fn judge(before: &CapacityRecord, after: &CapacityRecord) -> (Verdict, Option<f64>, Option<f64>) {
    let side =
        |name, record: &CapacityRecord| RunSet::new(name, []).with_capacities([record.clone()]);
    let (before, after) = (side("before", before), side("after", after));
    let comparison = compare(&before, &after, &Thresholds::default()).expect("comparable");
    let entry = &comparison.points[0].figure_changes[0];
    let change = entry.change.as_ref().ok();
    let half_width = change.map(|change| (change.interval.1 - change.interval.0) / 2.0);
    (
        entry.verdict,
        change.map(|change| change.relative),
        half_width,
    )
}

fn deviation(searches: &[CapacityRecord]) -> f64 {
    let levels = searches.iter().filter_map(|record| record.capacity.level);
    let levels = Vec::from_iter(levels.map(|level| level.value().ln()));
    let count = levels.len() as f64;
    let mean = levels.iter().sum::<f64>() / count;
    let squares: f64 = levels.iter().map(|level| (level - mean).powi(2)).sum();
    (squares / (count - 1.0).max(1.0)).sqrt()
}
