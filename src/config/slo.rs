use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::value::{self, Fault, Parsed};

/// Service-level objectives of one request: `SLO`. A request that meets all of them counts for goodput.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    /// Limit of the time to the first token (ms).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft: Option<f64>,
    /// Limit of the time per output token after the first (ms/token).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpot: Option<f64>,
    /// Limit of the longest gap between two content events (ms).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub itl: Option<f64>,
    /// Limit of the end-to-end latency (ms).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e2el: Option<f64>,
}

impl Slo {
    /// Whether no limit is set, so that there is no goodput.
    pub fn is_empty(&self) -> bool {
        *self == Slo::default()
    }
}

pub(super) fn read(value: &Value) -> Parsed<Slo> {
    let limits = value.as_object().ok_or_else(|| Fault::found(value))?;
    let mut slo = Slo::default();
    for (name, limit) in limits {
        let place = match name.as_str() {
            "ttft" => &mut slo.ttft,
            "tpot" => &mut slo.tpot,
            "itl" => &mut slo.itl,
            "e2el" => &mut slo.e2el,
            _ => {
                return Err(Fault::because(value, format!("{name:?} is not a latency")));
            }
        };
        *place = Some(value::number(limit, |ms| ms > 0.0)?);
    }
    Ok(slo)
}
