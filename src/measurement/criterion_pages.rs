//! Puts the right words into Criterion's pages: they call every value a time, and know of no simulation.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use regex::{NoExpand, Regex};

use crate::config::Metric;

/// Criterion's axis titles, and what they are for a rate.
const AXES: [(&str, &str); 3] = [
    ("Average Iteration Time (", "Throughput of the sample ("),
    ("Average Time (", "Throughput ("),
    ("Average time (", "Throughput ("),
];

/// Plots of a spread, which are meaningless: the reciprocal of a spread is not a rate.
const SPREAD_PLOTS: [&str; 2] = ["SD.svg", "MAD.svg"];

/// Phrases of Criterion's pages, and what they are for a rate.
const PHRASES: [(&str, &str); 9] = [
    (
        "the average time per iteration for this benchmark",
        "the throughput of this benchmark",
    ),
    (
        "probability of an iteration taking a certain amount of time",
        "probability of a sample having a certain throughput",
    ),
    (
        "the average time per iteration for the samples",
        "the throughput of the samples",
    ),
    (
        "probability of the function taking a certain amount of time",
        "probability of a sample having a certain throughput",
    ),
    ("the mean time per iteration", "the mean throughput"),
    (
        "the iteration times for the two measurements",
        "the throughput of the samples of the two measurements",
    ),
    ("Iteration Time Comparison", "Sample Throughput Comparison"),
    (
        "between function/parameter and iteration time",
        "between load and throughput",
    ),
    (
        "the given function/parameter would take a particular length of time",
        "the load would have a particular throughput",
    ),
];

/// The subject of a benchmark group's pages.
#[derive(Clone, Copy, Debug)]
pub struct GroupPages<'a> {
    /// The group's name as given to Criterion.
    pub name: &'a str,
    /// The metric of all its benchmarks.
    pub metric: Metric,
    /// The simulated presets, if any.
    pub simulated: Option<&'a str>,
    /// Whether the servers' certificates were not verified.
    pub insecure: bool,
}

impl GroupPages<'_> {
    /// Rewords the pages and plots that Criterion wrote into `directory`, the group's own below its
    /// output directory. What was reworded before stays as it is.
    ///
    /// # Errors
    /// When a file there cannot be read or written; the error does not name it.
    pub fn reword(&self, directory: &Path) -> io::Result<()> {
        for path in files_below(directory)? {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
            if self.metric.is_rate() && is_spread_of_values(&path, name) {
                fs::remove_file(&path)?;
            } else if name.ends_with(".svg") {
                rewrite(&path, |svg| self.plot(svg))?;
            } else if name == "index.html" {
                rewrite(&path, |html| self.page(html))?;
            }
        }
        Ok(())
    }

    fn plot(&self, svg: &str) -> String {
        // Criterion cuts off labels as long as ours; the group's name stands in the title.
        let label = format!("\n{}/", self.name);
        let mut svg = svg.replace(&label, "\n");
        if self.metric.is_rate() {
            svg = AXES
                .iter()
                .fold(svg, |svg, (from, to)| svg.replace(from, to));
        }
        const MARK: &str = "<text x=\"6\" y=\"12\" font-family=\"sans-serif\" font-size=\"10\" \
                            fill=\"#a00000\">simulated</text>\n</svg>";
        match self.simulated {
            Some(_) if !svg.contains(MARK) => svg.replace("</svg>", MARK),
            _ => svg,
        }
    }

    fn page(&self, html: &str) -> String {
        let mut html = html.to_owned();
        if self.metric.is_rate() {
            for (from, to) in PHRASES {
                html = replace_across_line_breaks(&html, from, to);
            }
            for file in SPREAD_PLOTS {
                html = without_list_item(&html, file);
            }
        }
        const OPEN: &str =
            "<p style=\"background:#a00000;color:white;padding:8px\"><b>Simulated:</b>";
        let html = match self.simulated {
            Some(preset) if !html.contains(OPEN) => html.replacen(
                "<body>",
                &format!(
                    "<body>\n{OPEN} these are figures of the embedded engine (preset {preset}), \
                     not of a GPU.</p>"
                ),
                1,
            ),
            _ => html,
        };
        const INSECURE: &str = "<p style=\"background:#a00000;color:white;padding:8px\"><b>INSECURE:</b> \
                                the servers' certificates were not verified.</p>";
        match self.insecure && !html.contains(INSECURE) {
            true => html.replacen("<body>", &format!("<body>\n{INSECURE}"), 1),
            false => html,
        }
    }
}

/// Puts a link to servemark's own pages into Criterion's page of all benchmarks, at `path`, unless it is
/// there. Returns whether there is such a page.
///
/// # Errors
/// When the file cannot be read or written.
pub fn link_criterion_to_report(path: &Path) -> io::Result<bool> {
    const LINK: &str = "<p><a href=\"../servemark/index.html\">servemark's report: throughput, latencies and \
                        requests of every point</a></p>";
    if !path.is_file() {
        return Ok(false);
    }
    rewrite(path, |html| match html.contains(LINK) {
        true => html.to_owned(),
        false => html.replacen("<body>", &format!("<body>\n{LINK}"), 1),
    })?;
    Ok(true)
}

fn files_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match path.is_dir() {
            true => files.extend(files_below(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

/// Plots of the spread of the values themselves; the plots of relative change, in `change/`, are correct.
fn is_spread_of_values(path: &Path, name: &str) -> bool {
    let directory = path.parent().and_then(Path::file_name);
    SPREAD_PLOTS.contains(&name) && directory == Some("report".as_ref())
}

fn rewrite(path: &Path, change: impl Fn(&str) -> String) -> io::Result<()> {
    let old = fs::read_to_string(path)?;
    let new = change(&old);
    if new == old {
        return Ok(());
    }
    // A full disk must not cost the page that there was.
    let whole = path.with_extension("reworded");
    fs::write(&whole, new)
        .and_then(|()| fs::rename(&whole, path))
        .inspect_err(|_| drop(fs::remove_file(&whole)))
}

/// Replaces a phrase whose spaces may be line breaks and indentation in `text`.
fn replace_across_line_breaks(text: &str, from: &str, to: &str) -> String {
    let words: Vec<String> = from.split(' ').map(regex::escape).collect();
    replace(text, &words.join(r"\s+"), to)
}

/// Removes the list item that links to `file`.
fn without_list_item(html: &str, file: &str) -> String {
    let file = regex::escape(file);
    replace(
        html,
        &format!(r#"\s*<li>\s*<a href="{file}">[^<]*</a>\s*</li>"#),
        "",
    )
}

fn replace(text: &str, pattern: &str, to: &str) -> String {
    match Regex::new(pattern) {
        Ok(pattern) => pattern.replace_all(text, NoExpand(to)).into_owned(),
        // The patterns are this file's own constants, escaped; a test uses each.
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group's directory as Criterion leaves it, reworded twice.
    fn reworded(metric: Metric, simulated: Option<&str>) -> impl Fn(&str) -> Option<String> {
        let group = tempfile::tempdir().unwrap();
        let report = group.path().join("c=1/report");
        fs::create_dir_all(report.join("change")).unwrap();
        let plot = "<svg><text>\nAverage Time (tok/s)\n</text><text>\ng/x/c=1\n</text></svg>";
        fs::write(report.join("pdf.svg"), plot).unwrap();
        fs::write(report.join("SD.svg"), "<svg></svg>").unwrap();
        fs::write(report.join("change/SD.svg"), "<svg></svg>").unwrap();
        let page = "<body>shows the average time per\n  iteration for this benchmark. <ul>\n<li>\n \
                    <a href=\"SD.svg\">Std. Dev.</a>\n</li><li><a href=\"mean.svg\">Mean</a></li></ul>";
        fs::write(report.join("index.html"), page).unwrap();
        let pages = GroupPages {
            name: "g/x",
            metric,
            simulated,
            insecure: simulated.is_some(),
        };
        for _ in 0..2 {
            pages.reword(group.path()).unwrap();
        }
        move |name| {
            let _keep = &group;
            fs::read_to_string(report.join(name)).ok()
        }
    }

    #[test]
    fn rates_are_called_throughput_and_spread_plots_go() {
        let read = reworded(Metric::OutputTokS, None);
        assert_eq!(
            read("pdf.svg").unwrap(),
            "<svg><text>\nThroughput (tok/s)\n</text><text>\nc=1\n</text></svg>"
        );
        assert_eq!(
            read("index.html").unwrap(),
            "<body>shows the throughput of this benchmark. <ul><li><a href=\"mean.svg\">Mean</a></li></ul>"
        );
        assert_eq!(read("SD.svg"), None);
        assert!(read("change/SD.svg").is_some());
    }

    #[test]
    fn the_page_of_all_benchmarks_links_to_the_report_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index.html");
        assert!(!link_criterion_to_report(&path).unwrap(), "no page");
        fs::write(&path, "<body>\n<div>").unwrap();
        for _ in 0..2 {
            assert!(link_criterion_to_report(&path).unwrap());
        }
        let page = fs::read_to_string(&path).unwrap();
        assert_eq!(page.matches("../servemark/index.html").count(), 1);
        assert!(
            page.starts_with("<body>\n<p>") && page.ends_with("<div>"),
            "{page}"
        );
    }

    #[test]
    fn latencies_stay_times() {
        let read = reworded(Metric::Ttft, None);
        assert!(read("pdf.svg").unwrap().contains("Average Time"));
        assert!(read("index.html").unwrap().contains("average time per"));
        assert!(read("SD.svg").is_some());
    }

    #[test]
    fn simulated_pages_and_plots_say_so_once() {
        let read = reworded(Metric::Ttft, Some("sim-small"));
        assert_eq!(read("index.html").unwrap().matches("Simulated:").count(), 1);
        assert_eq!(read("pdf.svg").unwrap().matches(">simulated<").count(), 1);
        assert_eq!(read("index.html").unwrap().matches("INSECURE:").count(), 1);
    }
}
