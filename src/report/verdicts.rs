use super::change;
use super::grid::narrow_grid;
use super::label;
use super::number::count;
use super::sides::{self, section};
use super::style::Cell;
use crate::verdict::{
    Comparison, FigureChange, NotComparable, PointComparison, RunSet, Thresholds, Verdict,
};

/// The comparison of two sides: the differences, warnings, a table of verdicts for each bench, and a summary.
///
/// `sides` are the compared ones, before and after. With `only_changes` the tables have only the figures that
/// regressed or improved.
pub fn verdicts(
    comparison: &Comparison,
    sides: &[RunSet; 2],
    thresholds: &Thresholds,
    only_changes: bool,
) -> String {
    let Comparison { before, after, .. } = comparison;
    let heading = format!("# {after} against {before}");
    let (simulated, insecure) = (comparison.simulated.as_deref(), comparison.insecure);
    let mut text = label::heading(&heading, simulated, insecure) + "\n\n";
    text.push_str(&sides::legend(sides));
    text.push('\n');
    let mut differences = sides::differences(comparison);
    if differences.is_empty() {
        differences.push("nothing that the records contain".to_owned());
    }
    text.push_str(&section("What differs:", &differences));
    text.push_str(&section("Warnings:", &sides::warnings(comparison)));
    for points in comparison
        .points
        .chunk_by(|a, b| a.point.bench() == b.point.bench())
    {
        text.push_str(&bench(points, only_changes));
    }
    text.push_str(&summary(comparison, thresholds));
    text
}

fn bench(points: &[PointComparison], only_changes: bool) -> String {
    let head = [
        "Point",
        "Figure",
        "A",
        "B",
        "Change",
        "95 % interval",
        "Verdict",
    ];
    let shown = |entry: &&FigureChange| {
        !only_changes || matches!(entry.verdict, Verdict::Regressed | Verdict::Improved)
    };
    let rows: Vec<Vec<Cell>> = points
        .iter()
        .flat_map(|point| {
            let figure_changes = point.figure_changes.iter().filter(shown).enumerate();
            figure_changes.map(move |(at, entry)| row(point, entry, at == 0))
        })
        .collect();
    let name = points.first().map_or("", |point| point.point.bench());
    let heading = label::heading(&format!("## {name}"), None, false);
    match rows.is_empty() {
        true => format!("{heading}\n\nNo figure regressed or improved.\n\n"),
        false => {
            let table = narrow_grid(head, rows, 2);
            format!("{heading}\n\n{table}\n\n")
        }
    }
}

fn row(point: &PointComparison, entry: &FigureChange, first: bool) -> Vec<Cell> {
    // The figures of a point stand together: its name is shown once.
    let name = match first {
        true => point.point.name_in_bench(),
        false => String::new(),
    };
    let [before, after, relative] = change::cells(entry);
    let doubt = match !point.doubts.is_empty() && entry.verdict != Verdict::Inconclusive {
        true => " (doubtful)",
        false => "",
    };
    let title = entry.figure.title().to_owned();
    let interval = change::interval(entry);
    let mut row = Vec::from([name, title, before, after, relative, interval].map(Cell::from));
    row.push(Cell::new(
        change::style(entry),
        change::verdict(entry) + doubt,
    ));
    row
}

fn summary(comparison: &Comparison, thresholds: &Thresholds) -> String {
    let mut lines = vec![
        format!(
            "{}, of {} at {}; changes below {} do not matter.",
            change::counts(comparison),
            count(comparison.figure_changes().count(), "figure"),
            count(comparison.points.len(), "point"),
            change::thresholds(thresholds)
        ),
        change::error_rate(change::tested(comparison)),
    ];
    lines.extend(remedies(comparison));
    lines.join("\n") + "\n"
}

/// Hints how to make inconclusive figures conclusive, each once.
fn remedies(comparison: &Comparison) -> Vec<String> {
    let figure_changes = || comparison.figure_changes().map(|(_, entry)| entry);
    let reason = |is: fn(&NotComparable) -> bool| {
        let matching = figure_changes().filter(|f| f.change.as_ref().is_err_and(is));
        matching.count()
    };
    let wide = figure_changes()
        .filter(|f| f.verdict == Verdict::Inconclusive && f.change.is_ok())
        .count();
    let remedies = [
        (
            wide,
            "with too wide an interval: measure several runs of each side (RUNS, or NAME1,NAME2,NAME3)",
        ),
        (
            reason(|u| matches!(u, NotComparable::TooFewValues(_))),
            "with too few requests for their percentile: measure longer (--measurement-time)",
        ),
        (
            reason(|u| matches!(u, NotComparable::TooFewWindows { .. })),
            "with too few windows: measure more (--sample-size)",
        ),
    ];
    let needed = remedies.into_iter().filter(|(count, _)| *count > 0);
    needed
        .map(|(figures, what)| format!("{} {what}.", count(figures, "figure")))
        .collect()
}
