use clap::builder::styling::Style;

use super::change;
use super::grid::narrow_grid;
use super::label;
use super::number::NOT_AVAILABLE;
use super::sides::{self, letter, section};
use super::style::{Cell, plain};
use crate::results::ResultKey;
use crate::verdict::{Comparison, Figure, FigureChange, RunSet, Thresholds, Trend, Verdict};

/// A trend over more than two sides: a row for each figure, a column for each side with its change against the
/// side before, and the verdict of the last against the first.
pub fn trend(trend: &Trend, sides: &[RunSet], thresholds: &Thresholds) -> String {
    let Comparison { before, after, .. } = &trend.whole;
    let heading = format!("# From {before} to {after}, by version");
    let (simulated, insecure) = (trend.whole.simulated.as_deref(), trend.whole.insecure);
    let mut text = label::heading(&heading, simulated, insecure) + "\n\n";
    text.push_str(&sides::legend(sides));
    text.push('\n');
    for step in &trend.steps {
        let heading = format!("What differs from {} to {}:", step.before, step.after);
        text.push_str(&section(&heading, &sides::differences(step)));
    }
    let pairs = trend.steps.iter().chain([&trend.whole]);
    let mut warnings: Vec<String> = pairs.flat_map(sides::warnings).collect();
    // A side occurs in two steps.
    warnings.sort_by_cached_key(|warning| plain(warning));
    warnings.dedup();
    text.push_str(&section("Warnings:", &warnings));
    for (bench, rows) in rows_by_bench(trend, sides, thresholds) {
        let table = narrow_grid(head(sides), rows, 2);
        let heading = label::heading(&format!("## {bench}"), None, false);
        text.push_str(&format!("{heading}\n\n{table}\n\n"));
    }
    text.push_str(&summary(trend, thresholds));
    text
}

/// The rows of each bench, one for each figure.
pub(super) fn rows_by_bench(
    trend: &Trend,
    sides: &[RunSet],
    thresholds: &Thresholds,
) -> Vec<(String, Vec<Vec<Cell>>)> {
    let of_bench = |results: &[ResultKey]| {
        let rows = results.iter().flat_map(|result| {
            let figures = thresholds.of_result(result).map(|(figure, _)| figure);
            figures.filter_map(|figure| row(trend, sides, result, figure))
        });
        let mut rows: Vec<Vec<Cell>> = rows.collect();
        blank_repeated(&mut rows);
        (results[0].bench().to_owned(), rows)
    };
    results(sides)
        .chunk_by(|a, b| a.bench() == b.bench())
        .map(of_bench)
        .filter(|(_, rows)| !rows.is_empty())
        .collect()
}

/// The points and capacities of all sides.
fn results(sides: &[RunSet]) -> Vec<ResultKey> {
    let points = sides.iter().flat_map(|side| side.points().keys().cloned());
    let capacities = sides
        .iter()
        .flat_map(|side| side.capacities().keys().cloned());
    let results = points.map(ResultKey::from);
    let mut results = Vec::from_iter(results.chain(capacities.map(ResultKey::from)));
    results.sort();
    results.dedup();
    results
}

/// The head of these rows.
pub(super) fn head(sides: &[RunSet]) -> Vec<String> {
    let last = letter(sides.len().saturating_sub(1));
    let letters = (0..sides.len()).map(letter);
    ["Point".to_owned(), "Figure".to_owned()]
        .into_iter()
        .chain(letters)
        .chain([format!("{last} against A")])
        .collect()
}

/// The row of a figure; `None` if no pair of sides has it.
fn row(trend: &Trend, sides: &[RunSet], point: &ResultKey, figure: Figure) -> Option<Vec<Cell>> {
    let last = sides.len().saturating_sub(1);
    let whole = found(&trend.whole, point, figure);
    let steps = trend.steps.iter().enumerate();
    let steps = steps.map(|(at, step)| (at, at + 1, found(step, point, figure)));
    let pairs: Vec<Pair<'_>> = steps.chain([(0, last, whole)]).collect();
    if pairs.iter().all(|(_, _, entry)| entry.is_none()) {
        return None;
    }
    let name = point.name_in_bench();
    let ends = whole.map_or(NOT_AVAILABLE.to_owned(), |entry| match &entry.change {
        Ok(change) => format!(
            "{} {}",
            change::relative(entry, change.relative),
            entry.verdict
        ),
        Err(_) => format!("{} ({})", entry.verdict, change::interval(entry)),
    });
    let cells = (0..sides.len()).map(|at| cell(&pairs, at));
    let names = [name, figure.title().to_owned()];
    let mut row: Vec<Cell> = names.into_iter().chain(cells).map(Cell::from).collect();
    row.push(Cell::new(whole.map_or(Style::new(), change::style), ends));
    Some(row)
}

/// Positions of two sides, and their change.
type Pair<'a> = (usize, usize, Option<&'a FigureChange>);

/// A side's value, and its change against the side before.
fn cell(pairs: &[Pair<'_>], at: usize) -> String {
    let value = pairs.iter().find_map(|(before, after, entry)| {
        let [of_before, of_after, _] = change::cells(entry.as_ref()?);
        let cell = match at {
            at if at == *before => of_before,
            at if at == *after => of_after,
            _ => return None,
        };
        Some(cell).filter(|cell| cell != NOT_AVAILABLE)
    });
    let value = value.unwrap_or(NOT_AVAILABLE.to_owned());
    // The steps come before the pair of the first and last side.
    let step = pairs.iter().find(|(_, after, _)| *after == at);
    let step = step.and_then(|(_, _, entry)| *entry);
    match step.map(|entry| (entry, &entry.change)) {
        Some((entry, Ok(change))) => {
            let (relative, mark) = (
                change::relative(entry, change.relative),
                mark(entry.verdict),
            );
            format!("{value} ({relative} {mark})")
        }
        _ => value,
    }
}

fn found<'a>(
    comparison: &'a Comparison,
    point: &ResultKey,
    figure: Figure,
) -> Option<&'a FigureChange> {
    let mut figure_changes = comparison.figure_changes();
    let found = figure_changes.find(|(p, entry)| p.point == *point && entry.figure == figure);
    found.map(|(_, entry)| entry)
}

fn mark(verdict: Verdict) -> char {
    match verdict {
        Verdict::Regressed => '▼',
        Verdict::Improved => '▲',
        Verdict::Unchanged => '=',
        Verdict::Inconclusive => '?',
    }
}

/// Clears the name of a point in all but the first of its rows.
fn blank_repeated(rows: &mut [Vec<Cell>]) {
    for at in (1..rows.len()).rev() {
        if rows[at][0].text == rows[at - 1][0].text {
            rows[at][0].text.clear();
        }
    }
}

fn summary(trend: &Trend, thresholds: &Thresholds) -> String {
    let pairs = trend.steps.iter().chain([&trend.whole]);
    let tested = pairs.map(change::tested).sum();
    format!(
        "Each change is against the version before: ▼ regressed, ▲ improved, = unchanged, ? inconclusive.\n\
         {} against {}: {}; changes below {} do not matter.\n{}\n",
        trend.whole.after,
        trend.whole.before,
        change::counts(&trend.whole),
        change::thresholds(thresholds),
        change::error_rate(tested)
    )
}
