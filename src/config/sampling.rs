use std::time::Duration;

use serde_json::Value;

use super::value::{self, Fault, Parsed};

/// `PRECISION` and `PRECISION_BUDGET`: sample until tok/s is known well enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precision {
    /// Half-width of the 95 % interval of output tok/s, as a share of it.
    pub half_width: f64,
    /// Most time that sampling may take per point, whatever the interval.
    pub budget: Duration,
}

/// A share above 0 and below 1: `0.01` or `"1%"`.
pub(super) fn share(value: &Value) -> Parsed<f64> {
    let right = |share: f64| share > 0.0 && share < 1.0;
    let Some(text) = value.as_str() else {
        return value::number(value, right);
    };
    let percent = text.trim().strip_suffix('%').map(str::trim_end);
    percent
        .and_then(|number| number.parse::<f64>().ok())
        .map(|percent| percent / 100.0)
        .filter(|share| right(*share))
        .ok_or_else(|| Fault::found(value))
}
