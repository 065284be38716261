//! What a reader must know of a point beside its figures: why no verdict on it is sure, and what else is odd.

use super::Difference;
use super::failures::Failures;
use super::lengths::{Lengths, is_other_work};
use crate::client::Completion;
use crate::load::Window;
use crate::metrics::Contradiction;
use crate::results::RunRecord;

/// Name of a side, and its records of a point.
type Side<'a> = (&'a str, &'a [RunRecord]);

#[derive(Default)]
pub(super) struct About {
    /// Why no verdict is sure.
    pub doubts: Vec<String>,
    pub warnings: Vec<String>,
    /// Lengths of prompts and answers that are not the same on both sides.
    pub lengths: Vec<Difference>,
    /// Whether they are so different that the sides did other work.
    pub has_other_lengths: bool,
}

impl About {
    /// Of a point, before and after.
    pub fn of(sides: [Side<'_>; 2]) -> About {
        let mut about = About::default();
        for (name, records) in sides {
            records.iter().for_each(|record| about.record(name, record));
        }
        about.failures(sides);
        let [before, after] = sides.map(|(_, records)| {
            let runs = records.iter().flat_map(RunRecord::runs);
            runs.collect::<Vec<_>>()
        });
        let input = |c: &Completion| c.usage_input;
        let output = |c: &Completion| Some(c.output_tokens()?.0);
        about.length("output tokens per request", output, &before, &after);
        about.length("input tokens per request", input, &before, &after);
        let [(_, before), (_, after)] = sides;
        let mut pairs = before
            .iter()
            .flat_map(|one| after.iter().map(move |other| (one, other)));
        if pairs.any(|(one, other)| one.is_same_run(other)) {
            let doubt = "both sides are the same run: nothing was measured in between";
            about.doubts.push(doubt.to_owned());
        }
        about
    }

    fn record(&mut self, side: &str, record: &RunRecord) {
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
                let told = |contradiction: &Contradiction| format!("{side}: {contradiction}");
                self.warnings
                    .extend(summary.contradictions.iter().map(told));
            }
        }
    }

    /// Says that more or fewer requests failed than before.
    fn failures(&mut self, sides: [Side<'_>; 2]) {
        let [before, after] = sides.map(|(_, records)| Failures::of(records));
        if before.count() + after.count() == 0.0 || before.share() == after.share() {
            return;
        }
        let percent =
            [before.share(), after.share()].map(|share| format!("{:.2} %", 100.0 * share));
        let [(first, _), (second, _)] = sides;
        let held_back = match after.share() > before.share() {
            true => "; no figure of the successful ones is called improved",
            false => "",
        };
        self.warnings.push(format!(
            "{} of the requests of {first} failed, {} of {second}{held_back}",
            percent[0], percent[1]
        ));
    }

    fn length(
        &mut self,
        what: &str,
        tokens: fn(&Completion) -> Option<u32>,
        before: &[Vec<Window>],
        after: &[Vec<Window>],
    ) {
        let lengths = |runs| Lengths::of(runs, tokens);
        let Some((before, after)) = lengths(before).zip(lengths(after)) else {
            return;
        };
        let Some(difference) = after.difference(&before) else {
            return;
        };
        let [before, after] = [before, after].map(|lengths| format!("{:.1}", lengths.mean));
        if is_other_work(difference) {
            self.has_other_lengths = true;
            self.doubts.push(format!(
                "{before} {what} before and {after} after: this is other work, and no change is called one"
            ));
        }
        self.lengths.push(Difference {
            what: what.to_owned(),
            before,
            after,
        });
    }
}
