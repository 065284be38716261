use super::change;
use super::gate::{heading, hidden, undetermined};
use super::grid::grid;
use super::label;
use super::number::count;
use super::sides::{self, section};
use crate::verdict::{FigureChange, Gate, GateOutcome, PointComparison};

/// The outcome of a gate in GitHub-flavoured Markdown, for a comment or a job summary, with a folded table of
/// all figures.
pub fn gate_markdown(gate: &Gate) -> String {
    let comparison = &gate.comparison;
    let sign = match gate.outcome() {
        GateOutcome::Passed => "✅",
        GateOutcome::Regressed => "❌",
        GateOutcome::CouldNotTell => "⚠️",
    };
    let mut text = format!(
        "### {sign} servemark gate: {}\n\n`{}` against `{}`{}\n\n{} of {}; changes below {} do not matter.\n\n",
        heading(gate.outcome()),
        comparison.after,
        comparison.before,
        label::of(comparison.simulated.as_deref(), comparison.insecure),
        change::counts(comparison),
        count(comparison.points.len(), "point"),
        change::thresholds(&gate.thresholds)
    );
    let differences = sides::differences(comparison);
    text.push_str(&section("**What differs**\n", &differences));
    let regressed: Vec<_> = gate.regressions().collect();
    if !regressed.is_empty() {
        text.push_str(&format!("**Regressed**\n\n{}\n\n", table(&regressed)));
    }
    text.push_str(&section("**Could not tell**\n", &undetermined(gate)));
    text.push_str(&section("**Warnings**\n", &sides::remarks(comparison)));
    let hidden = hidden(gate);
    if !hidden.is_empty() {
        text.push_str(&format!("{hidden}\n"));
    }
    let all: Vec<_> = comparison.figure_changes().collect();
    text.push_str(&format!(
        "<details><summary>All {}</summary>\n\n{}\n\n</details>\n\n{}\n",
        count(all.len(), "figure"),
        table(&all),
        // GitHub would render the line break.
        change::error_rate(change::tested(comparison)).replace('\n', " ")
    ));
    text
}

/// The same for a gate that could not compare the sides.
pub fn gate_markdown_refused(reason: &str) -> String {
    let heading = heading(GateOutcome::CouldNotTell);
    format!("### ⚠️ servemark gate: {heading}\n\n{reason}\n")
}

fn table(figure_changes: &[(&PointComparison, &FigureChange)]) -> String {
    let head = [
        "Point",
        "Figure",
        "Before",
        "After",
        "Change",
        "95 % interval",
        "Allowed",
        "Verdict",
    ];
    let rows = figure_changes.iter().map(|(point, entry)| {
        let [before, after, relative] = change::cells(entry);
        [
            // A bar would end the cell.
            point.point.to_string().replace('|', "\\|"),
            entry.figure.title().to_owned(),
            before,
            after,
            relative,
            change::interval(entry),
            change::allowed(entry),
            change::verdict(entry),
        ]
    });
    grid(head, rows, 2).to_string()
}
