//! The folder of a report's pages: only files that servemark wrote are overwritten or removed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::frame::TITLE_END;
use super::links::PAGES;
use crate::results::write_atomically_unsynced;

/// Below [`PAGES`]: the list of the written pages, one per line, relative to the folder.
const WRITTEN: &str = ".written";

/// Number of bytes that are read to recognize a page by its title.
const HEAD: u64 = 4096;

/// A folder that a report is being written into.
pub(super) struct Folder<'a> {
    directory: &'a Path,
    /// Pages of earlier reports, relative to the folder.
    earlier: BTreeSet<PathBuf>,
    /// Pages of this report.
    pages: BTreeSet<PathBuf>,
}

impl Folder<'_> {
    /// Prepares the folder for these pages, given relative to it.
    ///
    /// # Errors
    /// If a file that is not a page of a report is in the way, and I/O errors.
    pub fn open(directory: &Path, pages: BTreeSet<PathBuf>) -> io::Result<Folder<'_>> {
        let earlier = fs::read_to_string(directory.join(PAGES).join(WRITTEN)).unwrap_or_default();
        let earlier = earlier.lines().map(PathBuf::from).filter(|p| is_inside(p));
        let folder = Folder {
            directory,
            earlier: earlier.collect(),
            pages,
        };
        for page in &folder.pages {
            let path = directory.join(page);
            if path.symlink_metadata().is_ok() && !is_page(&path) {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    format!(
                        "{} is not a page of a servemark report and stays; give another folder, or move it away",
                        path.display()
                    ),
                ));
            }
        }
        // Before the pages, so that the list is complete after an interruption.
        folder.list(folder.earlier.union(&folder.pages))?;
        Ok(folder)
    }

    /// Writes one of the pages.
    pub fn write(&self, page: &Path, document: &str) -> io::Result<()> {
        write_atomically_unsynced(&self.directory.join(page), document.as_bytes())
    }

    /// Removes pages of earlier reports that this one does not have.
    pub fn close(self) -> io::Result<()> {
        for page in self.earlier.difference(&self.pages) {
            let path = self.directory.join(page);
            if is_page(&path) {
                fs::remove_file(&path)?;
            }
        }
        self.list(self.pages.iter())
    }

    fn list<'p>(&self, pages: impl Iterator<Item = &'p PathBuf>) -> io::Result<()> {
        let lines: String = pages.map(|page| format!("{}\n", page.display())).collect();
        write_atomically_unsynced(&self.directory.join(PAGES).join(WRITTEN), lines.as_bytes())
    }
}

/// Whether a listed path lies below the directory of the pages: a modified list must not affect other files.
fn is_inside(path: &Path) -> bool {
    path.starts_with(PAGES) && path.components().all(|c| matches!(c, Component::Normal(_)))
}

/// Whether a file is a page of a report, by its title.
fn is_page(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.is_ok() && String::from_utf8_lossy(&head).contains(&format!("{TITLE_END}</title>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<!DOCTYPE html><title>c=8 · servemark</title>";

    fn pages(pages: &[&str]) -> BTreeSet<PathBuf> {
        pages.iter().map(PathBuf::from).collect()
    }

    fn write(directory: &Path, names: &[&str]) -> io::Result<()> {
        let folder = Folder::open(directory, pages(names))?;
        for name in names {
            folder.write(Path::new(name), PAGE)?;
        }
        folder.close()
    }

    #[test]
    fn only_pages_of_earlier_reports_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let own = ["index.html", "pages/b/1.html", "pages/b/2.html"];
        write(directory.path(), &own).unwrap();
        let foreign = [
            "notes.html",
            "pages/mine.html",
            "pages/b/9.html",
            "pages/b/1.txt",
        ];
        for name in foreign {
            fs::write(at(name), "mine").unwrap();
        }
        // A copy of a page is the user's, too; and so is what has taken the place of one.
        fs::write(at("pages/copy.html"), PAGE).unwrap();
        fs::write(at("pages/b/2.html"), "mine").unwrap();
        write(directory.path(), &["index.html", "pages/c/1.html"]).unwrap();
        assert!(!at("pages/b/1.html").exists(), "it was a report's");
        for name in foreign.iter().chain(&["pages/b/2.html"]) {
            assert_eq!(fs::read_to_string(at(name)).unwrap(), "mine", "{name}");
        }
        assert!(at("pages/copy.html").exists() && at("pages/c/1.html").exists());
    }

    #[test]
    fn a_foreign_file_in_the_place_of_a_page_is_refused_before_anything_is_written() {
        for name in ["index.html", "pages/b/1.html"] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "<title>My home page</title>").unwrap();
            let error = write(directory.path(), &["index.html", "pages/b/1.html"]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert_eq!(
                fs::read_to_string(&path).unwrap(),
                "<title>My home page</title>"
            );
            assert!(!directory.path().join("pages/.written").exists());
        }
    }

    #[test]
    fn a_list_leads_nowhere_but_to_pages() {
        for (path, inside) in [
            ("pages/b/1.html", true),
            ("index.html", false),
            ("pages/../notes.html", false),
            ("/pages/x.html", false),
            ("", false),
        ] {
            assert_eq!(is_inside(Path::new(path)), inside, "{path}");
        }
    }
}
