//! Paths of the pages, and links between them.

use std::path::PathBuf;

use crate::results::{CapacityKey, PointKey, file_name};

/// A page of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Overview,
    Comparison,
    Trend,
    Point(PointKey),
    Capacity(CapacityKey),
}

/// How the pages are packaged, which determines the links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packaging {
    /// A file for each page: `index.html`, the others below [`PAGES`].
    Folder,
    /// One file with all pages.
    SingleFile,
}

/// Directory of all pages except the overview.
pub(super) const PAGES: &str = "pages";

impl Page {
    /// The components of its path, relative to the report's directory.
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
                format!("{}.html", point.level),
            ],
            Page::Capacity(capacity) => vec![
                PAGES.to_owned(),
                file_name(&capacity.bench),
                file_name(&capacity.prompt),
                "capacity.html".to_owned(),
            ],
        }
    }

    /// Its path, relative to the report's directory.
    pub fn path(&self) -> PathBuf {
        self.parts().into_iter().collect()
    }

    /// Its id in a single file.
    pub fn id(&self) -> String {
        match self {
            Page::Overview => "overview".to_owned(),
            Page::Comparison => "comparison".to_owned(),
            Page::Trend => "trend".to_owned(),
            Page::Point(point) => {
                let (bench, prompt) = (file_name(&point.bench), file_name(&point.prompt));
                id(&format!("point/{bench}/{prompt}/{}", point.level))
            }
            Page::Capacity(capacity) => {
                let (bench, prompt) = (file_name(&capacity.bench), file_name(&capacity.prompt));
                id(&format!("capacity/{bench}/{prompt}"))
            }
        }
    }
}

impl Packaging {
    /// The link from a page to another.
    pub fn link(self, from: &Page, to: &Page) -> String {
        match self {
            Packaging::SingleFile => format!("#{}", to.id()),
            Packaging::Folder => {
                let up = "../".repeat(from.parts().len() - 1);
                let down: Vec<String> = to.parts().iter().map(|part| encoded(part)).collect();
                up + &down.join("/")
            }
        }
    }
}

/// An id of file names. They have no colon, so the ids of different pages differ.
fn id(names: &str) -> String {
    encoded(names).replace('%', ":")
}

/// Percent-encodes a name for a link.
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
            level: "c=8".parse().unwrap(),
        });
        let link = |from, to| Packaging::Folder.link(from, to);
        assert_eq!(
            link(&Page::Overview, &point),
            "pages/chat%20throughput/50%25_%C3%A4~0ebe8b09ecefc7b7/c=8.html"
        );
        assert_eq!(link(&point, &Page::Overview), "../../../index.html");
        assert_eq!(link(&Page::Comparison, &Page::Trend), "../pages/trend.html");
        assert_eq!(
            Packaging::SingleFile.link(&Page::Overview, &point),
            format!("#{}", point.id())
        );
        assert!(!point.id().contains([' ', '%', '"']));
    }
}
