//! File names of benches and prompts: unique and valid on every system.

use std::hash::Hasher;

use fnv::FnvHasher;

/// Characters that Criterion replaces in file names.
pub(super) const UNSAFE_IN_FILES: [char; 10] = ['?', '"', '/', '\\', '*', '<', '>', ':', '|', '^'];

/// Longest file name that Criterion writes (bytes).
pub(super) const LONGEST_NAME: usize = 64;

/// Files and directories of servemark beside those of benches and prompts.
const OWN: [&str; 9] = [
    "runs",
    "ranks",
    "performance_metrics.csv",
    "pages",
    "logs",
    "index.html",
    "comparison.html",
    "trend.html",
    "report",
];

/// Names of devices on Windows, with any extension; so are `com` and `lpt` with a digit.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// Bytes of the hash at the end of a name, and of the `~` before it.
const HASH_LENGTH: usize = 17;

/// The file name of a bench or a prompt.
///
/// Most names stay as they are. A name that is not valid everywhere (empty, longer than 64 bytes, with
/// characters or a form that some system rejects, or of one of servemark's own files) becomes its readable
/// part and a hash of the whole: `a/b` becomes `a_b~e620c3190468cf61`. Different names have different file
/// names, and a file name stays as it is.
pub(crate) fn file_name(name: &str) -> String {
    match is_plain(name) {
        true => name.to_owned(),
        false => hashed(name, LONGEST_NAME),
    }
}

/// Shortens a longer file name to `longest` bytes, which must be at least 25.
pub(super) fn shortened(name: &str, longest: usize) -> String {
    match name.len() <= longest {
        true => name.to_owned(),
        false => hashed(name, longest),
    }
}

fn is_plain(name: &str) -> bool {
    let is_safe = |c: char| !UNSAFE_IN_FILES.contains(&c) && !c.is_control();
    // Windows removes dots and spaces at the end; a dot at the start hides a file.
    let whole = !name.starts_with(['.', ' ']) && !name.ends_with(['.', ' ']);
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME;
    let lower = name.to_lowercase();
    fits && whole && name.chars().all(is_safe) && !OWN.contains(&&*lower) && !is_device(&lower)
}

/// Whether a lower-case name is a device on Windows.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let port = ["com", "lpt"]
        .iter()
        .find_map(|port| stem.strip_prefix(port));
    let numbered = port.is_some_and(|n| n.chars().count() == 1 && n.chars().all(char::is_numeric));
    DEVICES.contains(&stem) || numbered
}

fn hashed(name: &str, longest: usize) -> String {
    let readable = |c: char| match UNSAFE_IN_FILES.contains(&c) || c.is_control() || c == '.' {
        true => '_',
        false => c,
    };
    let mut start: String = name.trim_start().chars().map(readable).collect();
    while start.len() > longest - HASH_LENGTH {
        start.pop();
    }
    let mut hasher = FnvHasher::default();
    hasher.write(name.as_bytes());
    format!("{start}~{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ordinary_names_are_their_own() {
        let longest = "x".repeat(64);
        for name in [
            "chat_throughput",
            "5",
            "1k",
            "random-1000",
            "Short question",
            "v0.31",
            "größe",
            "console",
            "company",
            &longest,
        ] {
            assert_eq!(file_name(name), name);
        }
    }

    #[test]
    fn names_invalid_on_some_systems_are_replaced() {
        let alike = [
            "x".repeat(70),
            format!("{}y", "x".repeat(69)),
            "ä".repeat(40),
        ];
        let names = [
            "a/b",
            "a:b",
            "a\\b",
            "a_b",
            "a?b",
            "a\nb",
            "a\tb",
            "",
            " ",
            ".",
            "..",
            "...",
            ".a",
            "a.",
            "a ",
            " a",
            "con",
            "CON",
            "nul.txt",
            "Com1",
            "lpt9.x",
            "aux",
            "runs",
            "Runs",
            "ranks",
            "performance_metrics.csv",
            "pages",
            "logs",
        ];
        let names = Vec::from_iter(names.into_iter().chain(alike.iter().map(String::as_str)));
        let files: BTreeSet<String> = names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len(), "{files:?}");
        for file in &files {
            assert_eq!(file_name(file), *file, "the name of a file is its own");
            assert!(is_plain(file), "{file}");
        }
    }

    #[test]
    fn a_hashed_name_stays_the_same_from_version_to_version() {
        assert_eq!(file_name("a/b"), "a_b~e620c3190468cf61");
    }

    #[test]
    fn shortened_names_keep_apart() {
        let (one, other) = ("k".repeat(48), format!("{}l", "k".repeat(47)));
        let short = [shortened(&one, 30), shortened(&other, 30)];
        assert!(short.iter().all(|name| name.len() == 30), "{short:?}");
        assert_ne!(short[0], short[1]);
        assert_eq!(shortened("1k", 30), "1k");
    }
}
