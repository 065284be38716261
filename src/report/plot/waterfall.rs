//! Requests below each other, each with its stages over time.

use super::axis::{Axis, extent};
use super::canvas::{PlotFrame, draw};
use super::colors::ColorRole;
use super::plot_types::{LegendEntry, Plot, Table};

/// A request's stages (seconds of the run).
#[derive(Clone, Debug)]
pub(in crate::report) struct RequestStages {
    /// Its name in the table.
    pub name: String,
    /// Its endpoint.
    pub endpoint: String,
    /// Start of the user's wait.
    pub start: f64,
    /// When the request was sent.
    pub sent: f64,
    /// Arrival of the first token; `None` if the response was not streamed.
    pub first: Option<f64>,
    /// Arrival of the last byte.
    pub end: f64,
}

/// Names of the stages, in the order of their series.
const STAGES: [&str; 3] = [
    "before it was sent",
    "queue and prefill, as the client sees them",
    "decode",
];

/// The requests from the top downwards.
pub(in crate::report) fn waterfall(title: &str, spans: Vec<RequestStages>) -> Plot {
    let ends = spans.iter().flat_map(|span| [span.start, span.end]);
    let Some((begin, end)) = extent(ends) else {
        return Plot::nothing(title, "No request succeeded.");
    };
    let rows = Axis {
        label: String::new(),
        range: spans.len() as f64 - 0.4..-0.6,
        ticks: Vec::new(),
    };
    let frame = PlotFrame {
        height: 150 + 18 * spans.len() as u32,
        ..PlotFrame::new(Axis::linear("seconds of the run", begin, end), rows)
    };
    let alt = format!(
        "{title}: {} requests between {begin:.2} s and {end:.2} s of the run.",
        spans.len()
    );
    let drawn = draw(&frame, &alt, |panel| {
        for (at, span) in spans.iter().enumerate() {
            let (top, bottom) = (at as f64 - 0.38, at as f64 + 0.38);
            let first = span.first.unwrap_or(span.end);
            let stages = [
                (span.start, span.sent),
                (span.sent, first),
                (first, span.end),
            ];
            for (stage, (from, to)) in stages.into_iter().enumerate() {
                if to > from {
                    panel.bar((from, top), (to, bottom), ColorRole::Fill(SERIES[stage]))?;
                }
            }
        }
        Ok(())
    });
    let before = spans.iter().any(|span| span.sent > span.start);
    let legend = STAGES.iter().enumerate().skip(usize::from(!before));
    let legend = legend.map(|(stage, name)| {
        LegendEntry::new(*name, |panel| {
            panel.bar((0.1, 0.2), (0.9, 0.8), ColorRole::Fill(SERIES[stage]))
        })
    });
    let caption = "Each line is a request: its first part ends with the first token, its second with the last. \
                   The queue and prefill times of single requests are not known separately, so the first part has \
                   both.";
    Plot::new(title, caption, drawn, table(&spans)).with_legend(legend)
}

/// Series of each stage.
const SERIES: [usize; 3] = [3, 1, 0];

fn table(spans: &[RequestStages]) -> Table {
    let head = [
        "Request",
        "Endpoint",
        "Sent (s)",
        "Before it was sent (ms)",
        "Queue and prefill (ms)",
        "Decode (ms)",
    ];
    let ms = |from: f64, to: f64| format!("{:.1}", 1e3 * (to - from));
    let row = |span: &RequestStages| {
        vec![
            span.name.clone(),
            span.endpoint.clone(),
            format!("{:.3}", span.sent),
            ms(span.start, span.sent),
            span.first
                .map_or("n/a".to_owned(), |first| ms(span.sent, first)),
            span.first
                .map_or("n/a".to_owned(), |first| ms(first, span.end)),
        ]
    };
    Table::new(2, &head).with(spans.iter().map(row))
}
