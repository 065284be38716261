//! How numbers are written, in tables, texts and pages alike.

use crate::metrics::TooFewValues;

/// Shown where a figure is not known; the reasons stand below the table.
pub(super) const NOT_AVAILABLE: &str = "n/a";

/// A figure with four digits that matter.
pub(super) fn value(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 1000.0 => 0,
        v if v >= 100.0 => 1,
        v if v >= 10.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// A figure, or `n/a` where it is not known.
pub(super) fn or_na(figure: Option<f64>) -> String {
    figure.map_or(NOT_AVAILABLE.to_owned(), value)
}

/// A figure with so many decimals, or `n/a` where it is not known.
pub(super) fn fixed(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or(NOT_AVAILABLE.to_owned(), |v| format!("{v:.decimals$}"))
}

/// A percentile with four digits that matter, or `n/a (20 of 1,000)` of too few values.
pub(super) fn percentile(figure: Result<f64, TooFewValues>) -> String {
    figure.map_or_else(|few| too_few(&few), value)
}

/// Shown for a percentile of too few values: `n/a (20 of 1,000)`.
pub(super) fn too_few(few: &TooFewValues) -> String {
    format!("{NOT_AVAILABLE} ({})", of_needed(few))
}

/// The number of values and how many a percentile needs: `20 of 1,000`.
pub(super) fn of_needed(few: &TooFewValues) -> String {
    format!("{} of {}", thousands(few.values), thousands(few.needed))
}

/// `1 point`, `2 points`.
pub(super) fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// A number with its thousands apart: `12,500`.
pub(super) fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let zero = text.chars().all(|c| c == '0' || c == '.');
    let sign = if value < 0.0 && !zero { "−" } else { "" };
    format!("{sign}{}{rest}", with_commas(whole))
}

/// A whole number with its thousands apart: `411,648`.
pub(super) fn thousands(number: u64) -> String {
    with_commas(&number.to_string())
}

fn with_commas(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
