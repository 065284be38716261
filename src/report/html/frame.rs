//! The common parts of pages: head, style sheet, navigation, plots and tables.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::links::{Packaging, Page};
use crate::report::plot::{Drawing, Plot, Table};

const STYLE: &str = include_str!("style.css");

/// Forbids the browser to load anything: pages are self-contained.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Suffix of every page's title, which identifies pages of a report.
pub(super) const TITLE_END: &str = " · servemark";

/// The content of a page.
pub(super) struct PageContent {
    pub page: Page,
    pub title: String,
    pub content: Markup,
}

/// The common content of a report's pages.
pub(super) struct PageFrame {
    pub packaging: Packaging,
    /// Presets of simulated points.
    pub simulated: Vec<String>,
    /// Whether the certificates of any servers were not verified.
    pub insecure: bool,
    /// Pages in the navigation, with their names.
    pub menu: Vec<(Page, &'static str)>,
    /// Criterion's own page, relative to the report's directory.
    pub criterion: Option<String>,
    /// When the newest point ended.
    pub date: String,
}

impl PageFrame {
    /// A document with one page, or with all of them.
    pub fn document(&self, bodies: &[PageContent]) -> String {
        let title = bodies.first().map_or("servemark", |body| &body.title);
        let first = bodies
            .first()
            .map_or(Page::Overview, |body| body.page.clone());
        let document = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    title { (title) (TITLE_END) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header { (self.navigation(&first)) (self.banner()) }
                    main id="main" {
                        @for body in bodies {
                            section id=(body.page.id()) { (body.content) }
                        }
                    }
                    footer {
                        "servemark " (env!("CARGO_PKG_VERSION")) ". The newest point here ended " (self.date) "."
                    }
                }
            }
        };
        document.into_string()
    }

    fn navigation(&self, from: &Page) -> Markup {
        html! {
            nav aria-label="Pages" {
                ul {
                    @for (page, name) in &self.menu {
                        li {
                            @if page == from && self.packaging == Packaging::Folder {
                                a href=(self.packaging.link(from, page)) aria-current="page" { (name) }
                            } @else {
                                a href=(self.packaging.link(from, page)) { (name) }
                            }
                        }
                    }
                    @if let Some(criterion) = &self.criterion {
                        li { a href=(self.criterion_from(from, criterion)) { "Criterion's own pages" } }
                    }
                }
            }
        }
    }

    fn criterion_from(&self, from: &Page, criterion: &str) -> String {
        "../".repeat(from.path().components().count() - 1) + criterion
    }

    fn banner(&self) -> Markup {
        html! {
            @if !self.simulated.is_empty() {
                p.banner role="note" {
                    b { "Simulated: " }
                    "figures of the embedded engine (preset " (self.simulated.join(", ")) "), not a GPU's."
                }
            }
            @if self.insecure {
                p.banner role="note" {
                    b { "INSECURE: " }
                    "the servers' certificates were not verified."
                }
            }
        }
    }
}

/// Plots beside each other, if there is room.
pub(super) fn plots(plots: impl IntoIterator<Item = Plot>) -> Markup {
    html! { div.plots { @for plot in plots { (figure(&plot)) } } }
}

fn figure(plot: &Plot) -> Markup {
    html! {
        figure {
            h4 { (plot.title) }
            @if !plot.legend.is_empty() {
                ul.legend {
                    @for key in &plot.legend { li { (PreEscaped(&key.mark)) span { (key.name) } } }
                }
            }
            @match &plot.drawing {
                Drawing::Svg(svg) => {
                    (PreEscaped(svg))
                    figcaption { (plot.caption) }
                    details {
                        summary { "Data of “" (plot.title) "”" }
                        (table(&plot.table, &format!("Data: {}", plot.title)))
                    }
                }
                Drawing::Nothing(why) => { p.note { (why) } }
            }
        }
    }
}

/// A table that scrolls if it is too wide.
pub(super) fn table(table: &Table, name: &str) -> Markup {
    let class = |at: usize| (at < table.words).then_some("w");
    html! {
        div.scroll tabindex="0" role="region" aria-label=(name) {
            table {
                thead { tr { @for (at, head) in table.head.iter().enumerate() { th class=[class(at)] scope="col" { (head) } } } }
                tbody {
                    @for row in &table.rows {
                        tr { @for (at, cell) in row.iter().enumerate() { td class=[class(at)] { (cell) } } }
                    }
                }
            }
        }
    }
}

/// Facts with their names.
pub(super) fn facts(facts: &[(&str, String)]) -> Markup {
    html! { dl { @for (name, fact) in facts { dt { (name) } dd { (fact) } } } }
}

/// Sentences as a list; empty without sentences.
pub(super) fn list(sentences: &[String]) -> Markup {
    html! {
        @if !sentences.is_empty() { ul { @for sentence in sentences { li { (sentence) } } } }
    }
}
