//! Where each page lies, and how another reaches it.

use std::path::PathBuf;

use crate::results::{PointKey, file_name};

/// A page of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Overview,
    Comparison,
    Trend,
    Point(PointKey),
}

/// How the pages are kept: which decides what a link to one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A file each: `index.html`, the others below [`PAGES`].
    Folder,
    /// One file with all of them.
    SingleFile,
}

/// Directory of all pages but the overview.
pub(super) const PAGES: &str = "pages";

impl Page {
    /// Its file, relative to the report's directory: the parts of its path.
    fn parts(&self) -> Vec<String> {
        let below = |file: &str| vec![PAGES.to_owned(), file.to_owned()];
        match self {
            Page::Overview => vec!["index.html".to_owned()],
            Page::Comparison => below("comparison.html"),
            Page::Trend => below("trend.html"),
            Page::Point(point) => vec![
                PAGES.to_owned(),
                file_name(&point.bench),
                file_name(&point.prompt),
                format!("c={}.html", point.concurrency),
            ],
        }
    }

    /// Its file, relative to the report's directory.
    pub fn path(&self) -> PathBuf {
        self.parts().into_iter().collect()
    }

    /// Its id, where all pages are one file.
    pub fn id(&self) -> String {
        match self {
            Page::Overview => "overview".to_owned(),
            Page::Comparison => "comparison".to_owned(),
            Page::Trend => "trend".to_owned(),
            Page::Point(point) => {
                let level = point.concurrency;
                let (bench, prompt) = (file_name(&point.bench), file_name(&point.prompt));
                // Neither has a colon, so the ids of different points differ.
                encoded(&format!("point/{bench}/{prompt}/c={level}")).replace('%', ":")
            }
        }
    }
}

impl Form {
    /// The link from a page to another.
    pub fn link(self, from: &Page, to: &Page) -> String {
        match self {
            Form::SingleFile => format!("#{}", to.id()),
            Form::Folder => {
                let up = "../".repeat(from.parts().len() - 1);
                let down: Vec<String> = to.parts().iter().map(|part| encoded(part)).collect();
                up + &down.join("/")
            }
        }
    }
}

/// A name as part of a link: bytes that mean something there as `%` and two digits.
pub(super) fn encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'=' | b'/' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_reach_each_other_by_relative_links() {
        let point = Page::Point(PointKey {
            bench: "chat throughput".into(),
            prompt: "50%/\u{e4}".into(),
            concurrency: 8,
        });
        let link = |from, to| Form::Folder.link(from, to);
        assert_eq!(
            link(&Page::Overview, &point),
            "pages/chat%20throughput/50%25_%C3%A4~0ebe8b09ecefc7b7/c=8.html"
        );
        assert_eq!(link(&point, &Page::Overview), "../../../index.html");
        assert_eq!(link(&Page::Comparison, &Page::Trend), "../pages/trend.html");
        assert_eq!(
            Form::SingleFile.link(&Page::Overview, &point),
            format!("#{}", point.id())
        );
        assert!(!point.id().contains([' ', '%', '"']));
    }
}
