//! The report as pages: an overview, a page for each point, a comparison and a trend.
//!
//! A page needs nothing but itself: its style, its plots and its data are in it, there is no script, and a
//! policy in its head forbids the browser to load anything. So the folder works from a disk, in an archive
//! and in an e-mail.

mod comparison;
mod facts;
mod frame;
mod links;
mod overview;
mod point;
mod point_plots;
mod point_times;
mod prompt_plots;
mod source;
mod trend;
mod view;
mod workers;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

pub use source::ReportSource;

use frame::{Body, Frame};
use links::{Form, PAGES, Page};
use view::View;

use crate::results::{RunRecord, write_atomically};

/// Writes the pages into `directory` and returns the overview's path. Pages there of points that are no
/// longer are removed.
///
/// `criterion` is Criterion's own page, relative to `directory`, if the report shall link to it.
///
/// # Errors
/// When a file cannot be written.
pub fn write_pages(
    source: &ReportSource,
    directory: &Path,
    criterion: Option<&str>,
) -> io::Result<PathBuf> {
    let (frame, bodies) = render(source, Form::Folder, criterion);
    let mut written = BTreeSet::new();
    for body in bodies {
        let path = directory.join(body.page.path());
        let document = frame.document(std::slice::from_ref(&body));
        write_atomically(&path, document.as_bytes())?;
        written.insert(path);
    }
    remove_others(&directory.join(PAGES), &written)?;
    Ok(directory.join(Page::Overview.path()))
}

/// All pages as one document.
pub fn single_page(source: &ReportSource) -> String {
    let (frame, bodies) = render(source, Form::SingleFile, None);
    frame.document(&bodies)
}

fn render(source: &ReportSource, form: Form, criterion: Option<&str>) -> (Frame, Vec<Body>) {
    let view = View::of(source, form);
    let mut menu = vec![(Page::Overview, "Overview")];
    if view.comparison.is_some() {
        menu.push((Page::Comparison, "Comparison"));
    }
    if view.trend.is_some() {
        menu.push((Page::Trend, "Trend"));
    }
    let records = || source.latest.records().chain(source.older.records());
    let presets: BTreeSet<String> = records().filter_map(|r| r.simulated.clone()).collect();
    let date = records().map(RunRecord::ended).max();
    let frame = Frame {
        form,
        simulated: presets.into_iter().collect(),
        insecure: records().any(RunRecord::insecure),
        menu,
        criterion: criterion.map(str::to_owned),
        date: date.map_or("never".to_owned(), facts::date),
    };
    let mut bodies = vec![overview::body(&view)];
    bodies.extend(comparison::body(&view));
    bodies.extend(trend::body(&view));
    bodies.extend(point::bodies(&view));
    (frame, bodies)
}

/// Removes the pages below `directory` that were not written now.
fn remove_others(directory: &Path, written: &BTreeSet<PathBuf>) -> io::Result<()> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        let is_page = path
            .extension()
            .is_some_and(|extension| extension == "html");
        if path.is_dir() {
            remove_others(&path, written)?;
        } else if is_page && !written.contains(&path) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}
