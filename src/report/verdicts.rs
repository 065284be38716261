use super::change;
use super::grid::narrow_grid;
use super::label;
use super::sides::{self, section};
use crate::verdict::{Comparison, Finding, PointComparison, RunSet, Thresholds, Unclear, Verdict};

/// Two sides: what differs, what is wrong with them, a table of verdicts for each bench, and a summary.
///
/// `sides` are those that were compared, before and after. With `only_changes` the tables have the
/// figures that regressed or improved.
pub fn verdicts(
    comparison: &Comparison,
    sides: &[RunSet; 2],
    thresholds: &Thresholds,
    only_changes: bool,
) -> String {
    let Comparison { before, after, .. } = comparison;
    let label = label::of(comparison.simulated.as_deref(), comparison.insecure);
    let mut text = format!("# {after} against {before}{label}\n\n");
    text.push_str(&sides::legend(sides));
    text.push('\n');
    let mut differences = sides::differences(comparison);
    if differences.is_empty() {
        differences.push("nothing that the records know of".to_owned());
    }
    text.push_str(&section("What differs:", &differences));
    text.push_str(&section("Warnings:", &sides::warnings(comparison)));
    for points in comparison
        .points
        .chunk_by(|a, b| a.point.bench == b.point.bench)
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
    let shown = |finding: &&Finding| {
        !only_changes || matches!(finding.verdict, Verdict::Regressed | Verdict::Improved)
    };
    let rows: Vec<[String; 7]> = points
        .iter()
        .flat_map(|point| {
            let findings = point.findings.iter().filter(shown).enumerate();
            findings.map(move |(at, finding)| row(point, finding, at == 0))
        })
        .collect();
    let name = points.first().map_or("", |point| &point.point.bench);
    match rows.is_empty() {
        true => format!("## {name}\n\nNo figure regressed or improved.\n\n"),
        false => {
            let table = narrow_grid(head.map(String::from), rows, 2);
            format!("## {name}\n\n{table}\n\n")
        }
    }
}

fn row(point: &PointComparison, finding: &Finding, first: bool) -> [String; 7] {
    // Once is enough: the figures of a point stand together.
    let name = match first {
        true => format!("{} c={}", point.point.prompt, point.point.concurrency),
        false => String::new(),
    };
    let [before, after, relative] = change::cells(finding);
    let doubt = match !point.doubts.is_empty() && finding.verdict != Verdict::Inconclusive {
        true => " (doubtful)",
        false => "",
    };
    [
        name,
        finding.figure.title().to_owned(),
        before,
        after,
        relative,
        change::interval(finding),
        change::verdict(finding) + doubt,
    ]
}

fn summary(comparison: &Comparison, thresholds: &Thresholds) -> String {
    let mut lines = vec![
        format!(
            "{}, of {} at {}; changes below {} do not matter.",
            change::counts(comparison),
            sides::count(comparison.findings().count(), "figure"),
            sides::count(comparison.points.len(), "point"),
            change::thresholds(thresholds)
        ),
        change::error_rate(change::tested(comparison)),
    ];
    lines.extend(remedies(comparison));
    lines.join("\n") + "\n"
}

/// What would make inconclusive figures conclusive, each remedy once.
fn remedies(comparison: &Comparison) -> Vec<String> {
    let findings = || comparison.findings().map(|(_, finding)| finding);
    let unclear = |is: fn(&Unclear) -> bool| {
        let matching = findings().filter(|f| f.change.as_ref().is_err_and(is));
        matching.count()
    };
    let wide = findings()
        .filter(|f| f.verdict == Verdict::Inconclusive && f.change.is_ok())
        .count();
    let remedies = [
        (
            wide,
            "with too wide an interval: measure several runs of each side (RUNS, or NAME1,NAME2,NAME3)",
        ),
        (
            unclear(|u| matches!(u, Unclear::TooFewValues { .. })),
            "with too few requests for their percentile: measure longer (--measurement-time)",
        ),
        (
            unclear(|u| matches!(u, Unclear::TooFewWindows { .. })),
            "with too few windows: measure more (--sample-size)",
        ),
    ];
    let needed = remedies.into_iter().filter(|(count, _)| *count > 0);
    needed
        .map(|(count, what)| format!("{} {what}.", sides::count(count, "figure")))
        .collect()
}
