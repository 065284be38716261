//! The names of keys and of the variables that override them.

/// What the names of all overriding variables start with.
pub(super) const PREFIX: &str = "SERVEMARK_";

/// `SERVEMARK_*` variables that override no key.
pub(super) const RESERVED: [&str; 5] = [
    "SERVEMARK_CONFIG",
    "SERVEMARK_REAL_VLLM",
    "SERVEMARK_AB",
    "SERVEMARK_RANKS",
    "SERVEMARK_RANKS_DIR",
];

/// The known name closest to `name`, if one is close enough to be what was meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_ascii_uppercase();
    known
        .into_iter()
        .map(|known| {
            (
                strsim::jaro_winkler(&wanted, &known.to_ascii_uppercase()),
                known,
            )
        })
        .filter(|(likeness, known)| {
            let edits = strsim::damerau_levenshtein(&wanted, &known.to_ascii_uppercase());
            *likeness >= 0.8 && edits <= 1 + known.len() / 3
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    #[test]
    fn a_misspelt_name_finds_the_key_that_was_meant() {
        for (misspelt, meant) in [
            ("MAX_NEW_TOKEN", "MAX_NEW_TOKENS"),
            ("max_new_tokens", "MAX_NEW_TOKENS"),
            ("MAX_TOKENS", "MAX_NEW_TOKENS"),
            ("CONCURRENT_LEVEL", "CONCURRENT_LEVELS"),
            ("CONCURRENCY_LEVELS", "CONCURRENT_LEVELS"),
            ("MODEL_ENDPOINT", "MODEL_ENDPOINTS"),
            ("NUM_GPUS", "NUM_GPU"),
            ("TOPP", "TOP_P"),
            ("STREAMS", "STREAM"),
        ] {
            assert_eq!(nearest(misspelt, keys::names()), Some(meant), "{misspelt}");
        }
        for unrelated in ["HOME", "COMMENT", "BENCH_HOST", "X"] {
            assert_eq!(nearest(unrelated, keys::names()), None, "{unrelated}");
        }
    }
}
