//! The report as pages: an overview, a page for each point, a comparison and a trend.
//!
//! Pages are self-contained: style, plots and data are inline, there is no script, and a policy forbids the
//! browser to load anything. So the folder works from a disk, in an archive and in an e-mail.

mod capacity;
mod comparison;
mod folder;
mod frame;
mod links;
mod overview;
mod point;
mod point_plots;
mod point_times;
mod prompt_plots;
mod run_facts;
mod source;
mod trend;
mod view;
mod workers;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

pub use capacity::capacity_page;
pub use source::ReportSource;

use folder::Folder;
use frame::{PageContent, PageFrame};
use links::{Packaging, Page};
use view::View;

/// Writes the pages into `directory` and returns the overview's path. Pages of an earlier report without a
/// point any more are removed; other files are not.
///
/// `criterion` is Criterion's own page, relative to `directory`, to link to.
///
/// # Errors
/// If a file cannot be written, or a file that is not a page of a report is in the way: then nothing is written.
pub fn write_pages(
    source: &ReportSource,
    directory: &Path,
    criterion: Option<&str>,
) -> io::Result<PathBuf> {
    let (frame, bodies) = render(source, Packaging::Folder, criterion);
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
    let (frame, bodies) = render(source, Packaging::SingleFile, None);
    frame.document(&bodies)
}

fn render(
    source: &ReportSource,
    packaging: Packaging,
    criterion: Option<&str>,
) -> (PageFrame, Vec<PageContent>) {
    let view = View::of(source, packaging);
    let mut menu = vec![(Page::Overview, "Overview")];
    if view.comparison.is_some() {
        menu.push((Page::Comparison, "Comparison"));
    }
    if view.trend.is_some() {
        menu.push((Page::Trend, "Trend"));
    }
    let setups = || source.latest.setups().chain(source.older.setups());
    let presets: BTreeSet<&str> = setups().filter_map(|setup| setup.simulated).collect();
    let date = setups().map(|setup| setup.ended()).max();
    let frame = PageFrame {
        packaging,
        simulated: presets.into_iter().map(str::to_owned).collect(),
        insecure: setups().any(|setup| setup.insecure()),
        menu,
        criterion: criterion.map(str::to_owned),
        date: date.map_or("never".to_owned(), run_facts::date),
    };
    let mut bodies = vec![overview::body(&view)];
    bodies.extend(comparison::body(&view));
    bodies.extend(trend::body(&view));
    bodies.extend(capacity::bodies(&view));
    bodies.extend(point::bodies(&view));
    (frame, bodies)
}
