//! The report as pages: an overview, a page for each point, a comparison and a trend.
//!
//! A page needs nothing but itself: its style, its plots and its data are in it, there is no script, and a
//! policy in its head forbids the browser to load anything. So the folder works from a disk, in an archive
//! and in an e-mail.

mod comparison;
mod facts;
mod folder;
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

use folder::Folder;
use frame::{Body, Frame};
use links::{Form, Page};
use view::View;

use crate::results::RunRecord;

/// Writes the pages into `directory` and returns the overview's path. Pages that an earlier report wrote
/// there, of points that are no longer, are removed; nothing else is.
///
/// `criterion` is Criterion's own page, relative to `directory`, if the report shall link to it.
///
/// # Errors
/// When a file cannot be written, or one is in the way that is no page of a report: then nothing is written.
pub fn write_pages(
    source: &ReportSource,
    directory: &Path,
    criterion: Option<&str>,
) -> io::Result<PathBuf> {
    let (frame, bodies) = render(source, Form::Folder, criterion);
    let pages = bodies.iter().map(|body| body.page.path());
    let folder = Folder::open(directory, pages.collect())?;
    for body in &bodies {
        let document = frame.document(std::slice::from_ref(body));
        folder.write(&body.page.path(), &document)?;
    }
    folder.close()?;
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
