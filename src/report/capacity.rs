//! The result of a search for the capacity: its trials as a table, and the answer.

use super::grid::narrow_grid;
use super::number::value;
use super::style::{DOUBTFUL, HEADING, LABEL, styled};
use crate::capacity::{Count, TrialRecord};
use crate::results::CapacityRecord;

/// The levels that were tried, and the capacity.
pub fn capacity(record: &CapacityRecord) -> String {
    let mut heading = styled(HEADING, &format!("## {}", record.bench));
    if let Some(preset) = &record.simulated {
        let label = styled(LABEL, "**simulated**");
        heading.push_str(&format!(" — {label} ({preset})"));
    }
    let mut head = vec!["trial".to_owned(), "level".to_owned(), "RPS".to_owned()];
    let objectives = record.objectives.iter().map(|objective| {
        let allowed = percent(objective.allowed);
        match objective.is_latency() {
            true => format!("missed {objective} ({allowed} allowed)"),
            false => format!("failed ({allowed} allowed)"),
        }
    });
    head.extend(objectives);
    head.push("result".to_owned());
    let rows = (1..)
        .zip(&record.trials)
        .map(|(nth, trial)| row(nth, trial));
    let table = narrow_grid(head, rows, 2);
    let mut text = format!("{heading}\n\n{table}\n\n");
    text.push_str(&format!(
        "Capacity of {}: {}\n",
        record.prompt, record.capacity
    ));
    for doubt in record.capacity.doubts().iter().chain(&record.notes) {
        text.push_str(&format!("- {}\n", styled(DOUBTFUL, doubt)));
    }
    if let Some(why) = &record.partial {
        text.push_str(&format!("- {}: {why}\n", styled(DOUBTFUL, "partial")));
    }
    text
}

fn row(nth: usize, trial: &TrialRecord) -> Vec<String> {
    let mut row = vec![nth.to_string(), trial.level.to_string(), value(trial.rps)];
    row.extend(trial.counts.iter().map(share));
    row.push(match trial.saturated {
        true => "fails (saturated)".to_owned(),
        false => trial.judgement.to_string(),
    });
    row
}

/// A share with its 95 % interval, and of how many requests.
fn share(count: &Count) -> String {
    let (lower, upper) = count.interval();
    format!(
        "{} ({} … {}) of {}",
        percent(count.share()),
        percent(lower),
        percent(upper),
        count.requests
    )
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        percent if percent != 0.0 && percent < 0.1 => "< 0.1 %".to_owned(),
        percent => format!("{} %", (percent * 10.0).round() / 10.0),
    }
}
