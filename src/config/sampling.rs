use std::time::Duration;

use serde_json::Value;

use super::value::{self, Fault, Parsed};

/// `PRECISION` and `PRECISION_BUDGET`: sampling continues until tok/s is precise enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precision {
    /// Half-width of the 95 % interval of output tok/s, as a share of it.
    pub half_width: f64,
    /// Longest time of sampling per point, whatever the interval.
    pub budget: Duration,
}

/// Parses a share above 0 and below 1: `0.01` or `"1%"`.
pub(super) fn share(value: &Value) -> Parsed<f64> {
    let is_valid = |share: f64| share > 0.0 && share < 1.0;
    let Some(text) = value.as_str() else {
        return value::number(value, is_valid);
    };
    let percent = text.trim().strip_suffix('%').map(str::trim_end);
    percent
        .and_then(|number| number.parse::<f64>().ok())
        .map(|percent| percent / 100.0)
        .filter(|share| is_valid(*share))
        .ok_or_else(|| Fault::found(value))
}
