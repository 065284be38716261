use super::change;
use super::gate::{heading, hidden, unknown};
use super::grid::grid;
use super::label;
use super::sides::{self, section};
use crate::verdict::{Finding, Gate, Outcome, PointComparison};

/// The answer of a gate in GitHub-flavoured Markdown, for a comment or a job's summary: all figures, those
/// that did not change folded away.
pub fn gate_markdown(gate: &Gate) -> String {
    let comparison = &gate.comparison;
    let sign = match gate.outcome() {
        Outcome::Passed => "✅",
        Outcome::Regressed => "❌",
        Outcome::CouldNotTell => "⚠️",
    };
    let mut text = format!(
        "### {sign} servemark gate: {}\n\n`{}` against `{}`{}\n\n{} of {}; changes below {} do not matter.\n\n",
        heading(gate.outcome()),
        comparison.after,
        comparison.before,
        label::of(comparison.simulated.as_deref(), comparison.insecure),
        change::counts(comparison),
        sides::count(comparison.points.len(), "point"),
        change::thresholds(&gate.thresholds)
    );
    let differences = sides::differences(comparison);
    text.push_str(&section("**What differs**\n", &differences));
    let regressed: Vec<_> = gate.regressions().collect();
    if !regressed.is_empty() {
        text.push_str(&format!("**Regressed**\n\n{}\n\n", table(&regressed)));
    }
    text.push_str(&section("**Could not tell**\n", &unknown(gate)));
    text.push_str(&section("**Warnings**\n", &sides::remarks(comparison)));
    let hidden = hidden(gate);
    if !hidden.is_empty() {
        text.push_str(&format!("{hidden}\n"));
    }
    let all: Vec<_> = comparison.findings().collect();
    text.push_str(&format!(
        "<details><summary>All {}</summary>\n\n{}\n\n</details>\n\n{}\n",
        sides::count(all.len(), "figure"),
        table(&all),
        // GitHub would keep the line break.
        change::error_rate(change::tested(comparison)).replace('\n', " ")
    ));
    text
}

/// The same where no answer could be given at all.
pub fn gate_markdown_refused(reason: &str) -> String {
    let heading = heading(Outcome::CouldNotTell);
    format!("### ⚠️ servemark gate: {heading}\n\n{reason}\n")
}

fn table(findings: &[(&PointComparison, &Finding)]) -> String {
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
    let rows = findings.iter().map(|(point, finding)| {
        let [before, after, relative] = change::cells(finding);
        [
            // A bar would end the cell.
            point.point.to_string().replace('|', "\\|"),
            finding.figure.title().to_owned(),
            before,
            after,
            relative,
            change::interval(finding),
            change::allowed(finding),
            change::verdict(finding),
        ]
    });
    grid(head.map(String::from), rows, 2).to_string()
}
