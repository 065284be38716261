use super::columns::NOT_AVAILABLE;
use super::grid::grid;
use super::label;
use super::sides::{count, measured};
use crate::metrics::Summary;
use crate::results::{BaselineName, PointKey, RunRecord};
use crate::verdict::RunSet;

/// A line for each baseline, the newest first: what it is of, and when.
pub fn baselines(mut baselines: Vec<(BaselineName, RunSet)>) -> String {
    let ended = |side: &RunSet| side.records().map(RunRecord::ended).max();
    baselines.sort_by_key(|(_, side)| std::cmp::Reverse(ended(side)));
    let head = [
        "Baseline",
        "Ended (UTC)",
        "Points",
        "Runs",
        "Server",
        "Model",
        "Simulated",
    ];
    let rows = baselines.iter().map(|(name, side)| {
        let all = |fact: fn(&RunRecord) -> String| {
            let mut facts: Vec<String> = side.records().map(fact).collect();
            facts.sort_unstable();
            facts.dedup();
            facts.join(", ")
        };
        let ended = ended(side).unwrap_or_default();
        let runs = side.records().map(RunRecord::run_count).max();
        [
            match name.is_latest() {
                true => format!("{name} (latest run)"),
                false => name.to_string(),
            },
            ended.format("%Y-%m-%d %H:%M").to_string(),
            side.points().len().to_string(),
            runs.unwrap_or(0).to_string(),
            all(RunRecord::server),
            all(RunRecord::model),
            all(|r| r.simulated.clone().unwrap_or_else(|| "no".to_owned())),
        ]
    });
    grid(head.map(String::from), rows, 2).to_string() + "\n"
}

/// The figures of a baseline's points.
pub fn baseline(name: &BaselineName, side: &RunSet) -> String {
    let simulated = side.records().find_map(|r| r.simulated.as_deref());
    let label = label::of(simulated, side.records().any(RunRecord::insecure));
    let head = [
        "Point",
        "Output tok/s",
        "RPS",
        "TTFT P50 (ms)",
        "TPOT mean (ms)",
        "E2EL P50 (ms)",
        "E2EL P99 (ms)",
        "Requests",
        "Failed",
        "Client",
    ];
    let table = grid(head.map(String::from), side.records().map(row), 1);
    format!(
        "# {name}{label}\n\n{}, {}, {}\n\n{table}\n",
        side.server(),
        count(side.points().len(), "point"),
        measured(side)
    )
}

/// Points that a run has not measured, those of a prompt together: `chat_throughput/1k c=8, 32`.
pub fn not_measured(points: &[PointKey]) -> String {
    let mut points: Vec<&PointKey> = points.iter().collect();
    points.sort();
    let of_one_prompt = points.chunk_by(|a, b| (&a.bench, &a.prompt) == (&b.bench, &b.prompt));
    let named = of_one_prompt.map(|points| {
        let levels = points.iter().skip(1);
        let levels = levels.map(|point| format!(", {}", point.concurrency));
        format!("{}{}", points[0], levels.collect::<String>())
    });
    Vec::from_iter(named).join("; ")
}

fn row(record: &RunRecord) -> [String; 10] {
    let figure = |decimals: usize, figure: fn(&Summary) -> Option<f64>| {
        let value = record.summary.as_ref().and_then(figure);
        value.map_or(NOT_AVAILABLE.to_owned(), |v| format!("{v:.decimals$}"))
    };
    let failed: usize = record.failures.iter().map(|failure| failure.count).sum();
    let client = record.self_check.as_ref();
    [
        record.point().to_string(),
        figure(1, |s| s.output_tok_s),
        figure(3, |s| Some(s.rps)),
        figure(2, |s| s.ttft_ms.map(|d| d.p50)),
        figure(3, |s| s.tpot_ms.map(|d| d.mean)),
        figure(2, |s| s.e2el_ms.map(|d| d.p50)),
        figure(2, |s| s.e2el_ms.map(|d| d.p99)),
        figure(0, |s| Some(s.completed as f64)),
        failed.to_string(),
        client
            .map_or(NOT_AVAILABLE, |check| match check.client_bound.is_empty() {
                true => "kept up",
                false => "client-bound",
            })
            .to_owned(),
    ]
}
