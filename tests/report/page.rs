//! Properties of every page of a report.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Every page below a directory.
pub fn pages(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The first group of every match.
pub fn all<'a>(text: &'a str, pattern: &str) -> Vec<&'a str> {
    let pattern = Regex::new(pattern).expect("a pattern");
    let found = pattern.captures_iter(text);
    found
        .map(|found| found.get(1).expect("a group").as_str())
        .collect()
}

/// Holds a page against what every page promises.
pub fn check(path: &Path) {
    let html = fs::read_to_string(path).expect("a page");
    let name = path.display();
    for attribute in [r#"(?:href|src)="([^"]*)""#, r"url\(([^)]*)\)"] {
        for target in all(&html, attribute) {
            assert!(!target.contains("//"), "{name}: {target}");
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => path.to_owned(),
                file => path.parent().expect("a directory").join(decoded(file)),
            };
            assert!(file.is_file(), "{name}: {target} does not exist");
            let id = format!("id=\"{anchor}\"");
            assert!(
                anchor.is_empty() || html.contains(&id),
                "{name}: no {target}"
            );
        }
    }
    for svg in all(&html, "<svg([^>]*)>") {
        let words = svg.contains("aria-label=\"") && svg.contains("role=\"img\"");
        assert!(
            words || svg.contains("aria-hidden=\"true\""),
            "{name}: {svg}"
        );
    }
    for figure in all(&html, "(?s)<figure>(.*?)</figure>") {
        let plot = figure.contains("<svg class=\"plot\"");
        let title = all(figure, "<h4>([^<]+)</h4>");
        assert_eq!(title.len(), 1, "{name}: {figure}");
        assert_eq!(plot, figure.contains("<figcaption>"), "{name}: {title:?}");
        assert_eq!(plot, figure.contains("<details>"), "{name}: {title:?}");
        assert!(
            plot || figure.contains("class=\"note\""),
            "{name}: {title:?}"
        );
        assert!(
            !plot || figure.matches("<tr>").count() > 1,
            "{name}: {title:?} has no data"
        );
    }
    let ids = all(&html, r#" id="([^"]*)""#);
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len(), "{name}: {ids:?}");
    assert!(html.contains("Simulated: "), "{name}");
    assert!(
        !html.contains("<script") && !html.contains("<b>busy"),
        "{name}"
    );
    assert!(!html.contains("NaN") && !html.contains(">inf"), "{name}");
}

/// A link without its percent signs.
fn decoded(link: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = link.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
