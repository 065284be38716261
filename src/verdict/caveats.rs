//! What a reader must know about a point beside its figures: doubts about its verdicts, and warnings.

use super::Difference;
use super::lengths::{difference, is_other_work};
use super::point_side::PointSide;
use crate::client::Completion;
use crate::metrics::{Contradiction, Lengths};
use crate::results::RunRecord;

#[derive(Default)]
pub(super) struct Caveats {
    /// Reasons to doubt every verdict.
    pub doubts: Vec<String>,
    pub warnings: Vec<String>,
    /// Lengths of prompts and answers that differ between the sides.
    pub lengths: Vec<Difference>,
    /// Whether the lengths differ so much that the sides did different work.
    pub has_other_lengths: bool,
}

/// What the lengths of answers are called.
pub(super) const OUTPUT: &str = "output tokens per request";

impl Caveats {
    /// The caveats of a point, from both sides.
    pub fn of(before: &PointSide<'_>, after: &PointSide<'_>) -> Caveats {
        let mut caveats = Caveats::default();
        for side in [before, after] {
            let records = side.records.iter();
            records.for_each(|record| caveats.record(side.name, record));
        }
        caveats.failures(before, after);
        for side in [before, after] {
            caveats.ends(side);
        }
        let lengths = |tokens: fn(&Completion) -> Option<u32>| {
            [before, after].map(|side| Lengths::of(side.runs.iter().flatten(), tokens))
        };
        let sources = [before, after].map(PointSide::token_source);
        match sources[0] == sources[1] {
            true => caveats.length(OUTPUT, lengths(|c| Some(c.output_tokens()?.0))),
            false => caveats.counted_differently(sources),
        }
        caveats.length("input tokens per request", lengths(|c| c.usage_input));
        let mut pairs = before
            .records
            .iter()
            .flat_map(|one| after.records.iter().map(move |other| (one, other)));
        if pairs.any(|(one, other)| one.is_same_run(other)) {
            let doubt = "both sides are the same run";
            caveats.doubts.push(doubt.to_owned());
        }
        caveats
    }

    fn record(&mut self, side: &str, record: &RunRecord) {
        if let Some(why) = &record.partial {
            self.doubts.push(format!("{side}: partial: {why}"));
        }
        let check = record.self_check.as_ref();
        if let Some(check) = check.filter(|check| !check.client_bound.is_empty()) {
            let why = check.client_bound.join(", ");
            self.doubts.push(format!("{side}: client-bound: {why}"));
        }
        for failure in &record.failures {
            let (count, cause, first) = (failure.count, &failure.cause, &failure.first_message);
            let first = match first.is_empty() {
                true => String::new(),
                false => format!(", first: {first}"),
            };
            let warning = format!("{side}: {count} requests failed: {cause}{first}");
            self.warnings.push(warning);
        }
        match &record.summary {
            None => self.doubts.push(format!("{side}: no request succeeded")),
            Some(summary) => {
                let saturation = summary.saturation.iter();
                self.doubts
                    .extend(saturation.map(|saturation| format!("{side}: {saturation}")));
                let warning = |contradiction: &Contradiction| format!("{side}: {contradiction}");
                self.warnings
                    .extend(summary.contradictions.iter().map(warning));
            }
        }
    }

    /// Warns if a run ended early.
    fn ends(&mut self, side: &PointSide<'_>) {
        let last = side.runs.iter().filter_map(|windows| windows.last());
        let failed = last.filter(|window| !window.has_success()).count();
        if failed > 0 {
            self.warnings.push(format!(
                "{}: ended early: no request of its last window succeeded",
                side.name
            ));
        }
    }

    /// Warns if the share of failed requests changed.
    fn failures(&mut self, before: &PointSide<'_>, after: &PointSide<'_>) {
        let shares = [before.failures.share(), after.failures.share()];
        if shares[0] == shares[1] {
            return;
        }
        let percent = shares.map(|share| format!("{:.2} %", 100.0 * share));
        let held_back = match shares[1] > shares[0] {
            true => "; improvements of the other figures are withheld",
            false => "",
        };
        self.warnings.push(format!(
            "{} of the requests of {} failed, {} of {}{held_back}",
            percent[0], before.name, percent[1], after.name
        ));
    }

    /// Warns that the sides' output tokens were counted in different ways.
    fn counted_differently(&mut self, [before, after]: [String; 2]) {
        self.warnings.push(format!(
            "output tokens are counted by {before} before and by {after} after, which also changes tok/s and TPOT"
        ));
        self.lengths.push(Difference {
            what: "output tokens counted by".to_owned(),
            before,
            after,
        });
    }

    /// Compares the lengths of both sides' prompts or answers.
    pub fn length(&mut self, what: &str, [before, after]: [Lengths; 2]) {
        let Some(difference) = difference(&before, &after) else {
            return;
        };
        let [before, after] = [before, after].map(|lengths| format!("{:.1}", lengths.mean()));
        if is_other_work(difference) {
            self.has_other_lengths = true;
            self.doubts.push(format!(
                "{before} {what} before and {after} after: this is different work, so no change is called one"
            ));
        }
        self.lengths.push(Difference {
            what: what.to_owned(),
            before,
            after,
        });
    }
}
