//! Repairs of the invalid JSON that real servers send.

use std::borrow::Cow;

/// The text with usual faults repaired; borrowed if it has none.
///
/// - Half of a surrogate pair (`\ud83d` alone), which a text cut between two tokens ends with, becomes U+FFFD.
/// - A control character within a string becomes a space.
/// - `NaN` and `Infinity`, which Python's `json` writes, become null.
pub(super) fn repaired(text: &str) -> Cow<'_, str> {
    let mut repaired = String::new();
    // All text before `kept` is in `repaired`.
    let (mut kept, mut at, mut in_string) = (0, 0, false);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let rest = &text[at..];
        let (length, replacement) = match bytes[at] {
            b'"' => {
                in_string = !in_string;
                (1, None)
            }
            b'\\' if in_string => match unit(rest) {
                Some(0xd800..0xdc00)
                    if matches!(rest.get(6..).and_then(unit), Some(0xdc00..0xe000)) =>
                {
                    (12, None)
                }
                Some(0xd800..0xe000) => (6, Some("\\ufffd")),
                // An escaped quote does not end the string.
                _ => (2, None),
            },
            0..0x20 if in_string => (1, Some(" ")),
            b'N' | b'I' | b'-' if !in_string => match not_a_number(rest) {
                Some(length) => (length, Some("null")),
                None => (1, None),
            },
            _ => (1, None),
        };
        if let Some(replacement) = replacement {
            repaired.push_str(&text[kept..at]);
            repaired.push_str(replacement);
            kept = at + length;
        }
        at = next_boundary(text, at + length);
    }
    match kept {
        0 => Cow::Borrowed(text),
        _ => (repaired + &text[kept..]).into(),
    }
}

/// The UTF-16 code unit of the escape `\uXXXX` at the start of `text`.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// Length of a number that JSON cannot express, at the start of `text`.
fn not_a_number(text: &str) -> Option<usize> {
    let names = ["NaN", "-NaN", "Infinity", "-Infinity"];
    names
        .iter()
        .find(|name| text.starts_with(**name))
        .map(|name| name.len())
}

/// The first character boundary from `at` on.
fn next_boundary(text: &str, at: usize) -> usize {
    (at..text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_text_is_left_as_it_is() {
        for text in [
            r#"{"a":"é\n\\\"\ud83d\ude00","b":[-1,2e5,null]}"#,
            "",
            "\"NaN\"",
            "\\",
            r#""\u12"#,
        ] {
            assert!(
                matches!(repaired(text), Cow::Borrowed(same) if same == text),
                "{text}"
            );
        }
    }

    #[test]
    fn each_fault_is_repaired() {
        for (text, expected) in [
            (r#""\ud83dx""#, r#""\ufffdx""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            ("\"a\nb\"", "\"a b\""),
            (
                r#"[NaN,-Infinity,"NaN é",Infinity]"#,
                r#"[null,null,"NaN é",null]"#,
            ),
        ] {
            assert_eq!(repaired(text), expected);
        }
    }
}
