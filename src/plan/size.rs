//! Sizes as people write them: `70B` parameters, `80GB` of memory.

/// A text that is not a valid size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid size, such as {example}")]
pub struct SizeError {
    text: String,
    example: &'static str,
}

/// Parameters of a model: `70B`, `8.03B`, `135M`.
///
/// # Errors
/// [`SizeError`] for anything else.
pub fn parse_parameters(text: &str) -> Result<u64, SizeError> {
    parse(
        text,
        &[("T", 1e12), ("B", 1e9), ("M", 1e6), ("", 1.0)],
        "70B",
    )
}

/// Bytes: `80GB` (10⁹), `80GiB` (2³⁰), `512MB`.
///
/// # Errors
/// [`SizeError`] for anything else, including a number without a unit.
pub fn parse_bytes(text: &str) -> Result<u64, SizeError> {
    const KIB: f64 = 1024.0;
    let units = [
        ("TIB", KIB * KIB * KIB * KIB),
        ("GIB", KIB * KIB * KIB),
        ("MIB", KIB * KIB),
        ("TB", 1e12),
        ("GB", 1e9),
        ("MB", 1e6),
    ];
    parse(text, &units, "80GB or 80GiB")
}

fn parse(text: &str, units: &[(&str, f64)], example: &'static str) -> Result<u64, SizeError> {
    let upper = text.trim().to_ascii_uppercase();
    let value = units.iter().find_map(|(unit, factor)| {
        let number: f64 = upper.strip_suffix(unit)?.trim().parse().ok()?;
        Some(number * factor)
    });
    match value {
        Some(value) if (1.0..1e18).contains(&value) => Ok(value.round() as u64),
        _ => Err(SizeError {
            text: text.to_owned(),
            example,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_parameters("70B"), Ok(70_000_000_000));
        assert_eq!(parse_parameters(" 8.03 b "), Ok(8_030_000_000));
        assert_eq!(parse_parameters("135M"), Ok(135_000_000));
        assert_eq!(parse_bytes("80GB"), Ok(80_000_000_000));
        assert_eq!(parse_bytes("1GiB"), Ok(1 << 30));
        for wrong in ["", "B", "-3B", "80", "GB", "80 XB", "infB", "nanGB"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
        let error = parse_bytes("80").unwrap_err().to_string();
        assert!(error.contains("80GB or 80GiB"), "{error}");
    }
}
