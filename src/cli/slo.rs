//! The text of `--slo`.

use serde_json::{Map, Value, json};

/// Converts `ttft.p95=500,tpot=50,failed=0.01` to the object that is the value of SLO.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<String, String> {
    let limit = |entry: &str| -> Result<(String, Value), String> {
        let (name, limit) = entry
            .split_once('=')
            .ok_or_else(|| format!("{entry:?} is not LATENCY=MS, such as ttft=200"))?;
        let limit: f64 = limit
            .trim()
            .parse()
            .map_err(|_| format!("{limit:?} is not a number of ms"))?;
        Ok(match name.trim().split_once('.') {
            Some((name, percentile)) => (name.to_owned(), json!({percentile: limit})),
            None => (name.trim().to_owned(), limit.into()),
        })
    };
    let limits: Map<_, _> = text.split(',').map(limit).collect::<Result<_, _>>()?;
    Ok(Value::Object(limits).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_may_name_their_percentile() {
        let parsed = parse("ttft.p99.9=500, tpot=50,failed=0.01").expect("valid");
        let value: Value = serde_json::from_str(&parsed).expect("JSON");
        let wanted = json!({"ttft": {"p99.9": 500.0}, "tpot": 50.0, "failed": 0.01});
        assert_eq!(value, wanted);
        for invalid in ["ttft", "ttft=fast", ""] {
            assert!(parse(invalid).is_err(), "{invalid}");
        }
    }
}
