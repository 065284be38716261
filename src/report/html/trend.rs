//! Figures from version to version.

use std::collections::BTreeMap;

use maud::html;

use super::comparison::legend;
use super::frame::{PageContent, plots, table};
use super::links::Page;
use super::view::{TREND_FIGURES as FIGURES, View, trend_thresholds};
use crate::level::Level;
use crate::metrics::{Distribution, Summary};
use crate::report::number::count;
use crate::report::plot::{Curve, CurveAt, Plot, Table, over_names};
use crate::report::style::Cell;
use crate::report::trend::{head, rows_by_bench};
use crate::report::{change, sides};
use crate::results::{PointKey, RunRecord};
use crate::verdict::{Figure, RunSet, estimate};

/// The page; `None` with fewer than three versions: two have the comparison.
pub(super) fn body(view: &View<'_>) -> Option<PageContent> {
    let trend = view.trend.as_ref()?;
    let versions = &view.source.versions;
    let letters: Vec<String> = (0..versions.len()).map(sides::letter).collect();
    let legend_rows: Vec<(&str, &RunSet)> =
        letters.iter().map(String::as_str).zip(versions).collect();
    let title = format!("Trend over {}", count(versions.len(), "version"));
    let all = all_figures(versions);
    let content = html! {
        h1 { (title) }
        (legend(&legend_rows))
        @for (bench, prompt) in prompts(versions) {
            h2 { (bench) " / " (prompt) }
            (plots((0..FIGURES.len()).map(|figure| plot(versions, &all, (&bench, &prompt), figure))))
        }
        h2 { "Changes from version to version" }
        @match trend {
            Err(why) => p { "The versions cannot be compared one after another: " (why) },
            Ok(trend) => {
                @for (bench, rows) in rows_by_bench(trend, versions, &trend_thresholds()) {
                    h3 { (bench) }
                    (table(&Table { head: head(versions), rows: texts(rows), words: 2 }, &format!("Changes of {bench}")))
                }
                p { "Each change is against the version before: ▼ regressed, ▲ improved, = unchanged, ? inconclusive; changes below "
                    (change::thresholds(&trend_thresholds())) " do not matter." }
            }
        }
    };
    Some(PageContent {
        page: Page::Trend,
        title,
        content,
    })
}

fn texts(rows: Vec<Vec<Cell>>) -> Vec<Vec<String>> {
    let texts = |row: Vec<Cell>| row.into_iter().map(|cell| cell.text).collect();
    rows.into_iter().map(texts).collect()
}

/// The benches and prompts of all versions, short prompts first.
fn prompts(versions: &[RunSet]) -> Vec<(String, String)> {
    let records = versions.iter().flat_map(RunSet::records);
    let mut prompts: Vec<(&String, usize, &String)> = records
        .map(|record| (&record.bench, record.prompt_tokens, &record.prompt))
        .collect();
    prompts.sort_unstable();
    let mut names: Vec<(String, String)> = prompts
        .into_iter()
        .map(|(bench, _, prompt)| (bench.clone(), prompt.clone()))
        .collect();
    names.dedup();
    names
}

/// The figure from the record's summary, but no percentile of too few values.
fn in_summary(figure: Figure, record: &RunRecord) -> Option<f64> {
    let summary = record.summary.as_ref()?;
    if let Some(percentile) = figure.percentile() {
        return latency(figure, summary)?.percentile(percentile).ok();
    }
    match figure {
        Figure::TokS => summary.output_tok_s,
        Figure::Rps => Some(summary.rps),
        Figure::Goodput => summary.goodput,
        Figure::Failed => {
            let failed = summary.failed() as f64;
            Some(100.0 * failed / (failed + summary.completed as f64))
        }
        _ => Some(latency(figure, summary)?.mean),
    }
}

/// The latency that the figure is a mean or a percentile of.
fn latency(figure: Figure, summary: &Summary) -> Option<Distribution> {
    match figure {
        Figure::TtftMean
        | Figure::TtftP50
        | Figure::TtftP95
        | Figure::TtftP99
        | Figure::TtftP99_9 => summary.ttft_ms,
        Figure::TpotMean => summary.tpot_ms,
        Figure::ItlP95 | Figure::ItlP99 | Figure::ItlP99_9 => summary.itl_ms,
        Figure::E2elP50 | Figure::E2elP95 | Figure::E2elP99 | Figure::E2elP99_9 => summary.e2el_ms,
        Figure::TokS | Figure::Rps | Figure::Goodput | Figure::Failed => None,
    }
}

/// The figures of a point in the order of [`FIGURES`], at the place of its version.
type VersionFigures = [Option<CurveAt>; FIGURES.len()];

/// The figures of every point of every version.
fn all_figures(versions: &[RunSet]) -> BTreeMap<(&PointKey, usize), VersionFigures> {
    let mut all = BTreeMap::new();
    for (at, side) in versions.iter().enumerate() {
        for (key, records) in side.points() {
            let runs: Vec<_> = records.iter().flat_map(RunRecord::runs).collect();
            // A side of a report has one record of each point.
            let Some(record) = records.last() else {
                continue;
            };
            let figure = |figure| match estimate(figure, &runs, &record.slo()) {
                Ok(known) => Some(CurveAt {
                    interval: Some(known.interval),
                    ..CurveAt::sure(at as f64, known.value)
                }),
                // Too few windows for an interval.
                Err(_) => in_summary(figure, record).map(|value| CurveAt::sure(at as f64, value)),
            };
            all.insert((key, at), FIGURES.map(figure));
        }
    }
    all
}

/// A figure over the versions, a curve for each level.
fn plot(
    versions: &[RunSet],
    all: &BTreeMap<(&PointKey, usize), VersionFigures>,
    (bench, prompt): (&str, &str),
    figure: usize,
) -> Plot {
    let mut curves: BTreeMap<Level, Curve> = BTreeMap::new();
    let of = |(key, _): &&(&PointKey, usize)| key.bench == bench && key.prompt == prompt;
    for place @ (key, _) in all.keys().filter(of) {
        let named = || Curve::new(key.level.to_string(), 0);
        let curve = curves.entry(key.level).or_insert_with(named);
        curve.points.extend(all[place][figure]);
    }
    let curves = curves
        .into_values()
        .filter(|curve| !curve.points.is_empty());
    let curves = curves
        .enumerate()
        .map(|(series, curve)| Curve { series, ..curve });
    let figure = FIGURES[figure];
    let better = if figure.larger_is_better() {
        "Higher"
    } else {
        "Lower"
    };
    let names: Vec<String> = versions.iter().map(|side| side.name.clone()).collect();
    over_names(
        &format!("Trend of {}", figure.title()),
        &format!(
            "{better} is better. Vertical lines are 95 % intervals over each run's windows: another run may differ by \
             more. A marker without a line has too few windows; a percentile of too few values is left out."
        ),
        figure.title(),
        &names,
        curves.collect(),
    )
}
