use super::columns::{BASELINE, head_and_cells};
use super::grid::grid;
use super::sides::{contents, measured};
use super::{Row, label};
use crate::results::{BaselineName, PointKey, RunRecord};
use crate::verdict::RunSet;

/// The list of baselines, the newest first, with server, model and time.
pub fn baselines(mut baselines: Vec<(BaselineName, RunSet)>) -> String {
    baselines.sort_by_key(|(_, side)| std::cmp::Reverse(side.ended()));
    let head = [
        "Baseline",
        "Ended (UTC)",
        "Points",
        "Capacities",
        "Runs",
        "Server",
        "Model",
        "Simulated",
    ];
    let rows = baselines.iter().map(|(name, side)| {
        let ended = side.ended().unwrap_or_default();
        let runs = side.records().map(RunRecord::run_count).max();
        [
            match name.is_latest() {
                true => format!("{name} (latest run)"),
                false => name.to_string(),
            },
            ended.format("%Y-%m-%d %H:%M").to_string(),
            side.points().len().to_string(),
            side.capacities().len().to_string(),
            runs.unwrap_or(0).to_string(),
            side.server(),
            side.model(),
            side.all(|setup| setup.simulated.unwrap_or("no").to_owned()),
        ]
    });
    grid(head, rows, 2).to_string() + "\n"
}

/// The figures of a baseline's points.
pub fn baseline(name: &BaselineName, side: &RunSet) -> String {
    let heading = label::heading(&format!("# {name}"), side.simulated(), side.insecure());
    let rows: Vec<Row> = side.records().map(Row::of).collect();
    let (head, cells) = head_and_cells(&rows, &Vec::from_iter(&BASELINE));
    let table = grid(head, cells, 1);
    let mut text = format!(
        "{heading}\n\n{}, {}, {}\n\n{table}\n",
        side.server(),
        contents(side),
        measured(side)
    );
    for (key, records) in side.capacities() {
        let answers = records.iter().map(|record| record.capacity.to_string());
        let answers = Vec::from_iter(answers).join("; ");
        text.push_str(&format!("\nCapacity of {key}: {answers}\n"));
    }
    text
}

/// The names of points that a run did not measure, grouped by prompt: `chat_throughput/1k c=8, 32`.
pub fn not_measured(points: &[PointKey]) -> String {
    let mut points: Vec<&PointKey> = points.iter().collect();
    points.sort();
    let of_one_prompt = points.chunk_by(|a, b| (&a.bench, &a.prompt) == (&b.bench, &b.prompt));
    let named = of_one_prompt.map(|points| {
        let levels = points.iter().skip(1);
        let levels = levels.map(|point| format!(", {}", point.level.value_text()));
        format!("{}{}", points[0], levels.collect::<String>())
    });
    Vec::from_iter(named).join("; ")
}
