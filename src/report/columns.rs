//! The columns of tables and of the CSV file.

use clap::builder::styling::Style;

use super::Row;
use super::number::{self, NOT_AVAILABLE, fixed, or_na};
use super::style::{BAD, Cell, DOUBTFUL};
use crate::level::Level;
use crate::load::SelfCheck;
use crate::metrics::Percentile::{self, P50, P90, P95, P99, P99_9};
use crate::metrics::{Distribution, Summary, TooFewValues};

/// A column: its head, and the cells of rows.
pub struct Column {
    /// Head, with the unit in brackets.
    pub name: &'static str,
    value: CellValue,
    /// How a terminal shows the cell of a row.
    style: fn(&Row) -> Style,
}

enum CellValue {
    /// A figure and its decimals; `n/a` if it is not known.
    Figure(usize, SummaryFigure),
    /// A figure with four significant digits.
    Short(SummaryFigure),
    /// A percentile and its decimals, or four significant digits; `n/a (20 of 1,000)` of too few values.
    Percentile(Option<usize>, SummaryLatency, Percentile),
    /// A figure of the client's self-check, and its decimals.
    Checked(usize, fn(&SelfCheck) -> Option<f64>),
    /// A text, also for failed points.
    Text(fn(&Row) -> String),
}

type SummaryFigure = fn(&Row, &Summary) -> Option<f64>;
pub type SummaryLatency = fn(&Summary) -> Option<Distribution>;

impl Column {
    const fn new(name: &'static str, value: CellValue) -> Column {
        Column {
            name,
            value,
            style: |_| Style::new(),
        }
    }

    const fn styled(self, style: fn(&Row) -> Style) -> Column {
        Column { style, ..self }
    }

    /// The cell's text in tables and on pages.
    pub fn cell(&self, row: &Row) -> String {
        match self.too_few_values(row) {
            Some(few) => number::too_few(&few),
            None => self.csv_cell(row),
        }
    }

    /// The cell's text in the CSV file, where every figure that is not available is `n/a`.
    pub fn csv_cell(&self, row: &Row) -> String {
        let value = |figure: SummaryFigure| row.summary().and_then(|summary| figure(row, summary));
        match self.value {
            CellValue::Text(text) => text(row),
            CellValue::Figure(decimals, figure) => fixed(value(figure), decimals),
            CellValue::Short(figure) => or_na(value(figure)),
            CellValue::Percentile(decimals, latency, percentile) => {
                let latency = row.summary().and_then(latency);
                let figure = latency.and_then(|d| d.percentile(percentile).ok());
                match decimals {
                    Some(decimals) => fixed(figure, decimals),
                    None => or_na(figure),
                }
            }
            CellValue::Checked(decimals, figure) => {
                fixed(row.self_check.as_ref().and_then(figure), decimals)
            }
        }
    }

    /// Whether any row has a figure or a text in it.
    pub fn has_values(&self, rows: &[Row]) -> bool {
        let mut cells = rows.iter().map(|row| self.csv_cell(row));
        cells.any(|cell| !cell.is_empty() && cell != NOT_AVAILABLE)
    }

    /// Whether to show it: any row has a value, or the number of values that a P50, P90 or P99 lacks. A P95 or P99.9
    /// needs a row with a figure.
    pub fn is_shown(&self, rows: &[Row]) -> bool {
        let is_extra = matches!(self.value, CellValue::Percentile(_, _, P95 | P99_9));
        let is_marked = || rows.iter().any(|row| self.too_few_values(row).is_some());
        self.has_values(rows) || (!is_extra && is_marked())
    }

    /// The number of values, if the column is a percentile and the row has too few for it.
    fn too_few_values(&self, row: &Row) -> Option<TooFewValues> {
        let CellValue::Percentile(_, latency, percentile) = self.value else {
            return None;
        };
        let latency = row.summary().and_then(latency)?;
        latency.percentile(percentile).err()
    }
}

/// Head and cells of these columns.
pub fn head_and_cells(rows: &[Row], columns: &[&Column]) -> (Vec<&'static str>, Vec<Vec<Cell>>) {
    let head = columns.iter().map(|column| column.name);
    let cell = |column: &Column, row: &Row| Cell::new((column.style)(row), column.cell(row));
    let cells = |row: &Row| columns.iter().map(|column| cell(column, row)).collect();
    (head.collect(), rows.iter().map(cells).collect())
}

const fn figure(name: &'static str, decimals: usize, value: SummaryFigure) -> Column {
    Column::new(name, CellValue::Figure(decimals, value))
}

const fn short(name: &'static str, value: SummaryFigure) -> Column {
    Column::new(name, CellValue::Short(value))
}

const fn percentile(
    name: &'static str,
    decimals: usize,
    latency: SummaryLatency,
    percentile: Percentile,
) -> Column {
    Column::new(
        name,
        CellValue::Percentile(Some(decimals), latency, percentile),
    )
}

const fn short_percentile(
    name: &'static str,
    latency: SummaryLatency,
    percentile: Percentile,
) -> Column {
    Column::new(name, CellValue::Percentile(None, latency, percentile))
}

const fn checked(
    name: &'static str,
    decimals: usize,
    value: fn(&SelfCheck) -> Option<f64>,
) -> Column {
    Column::new(name, CellValue::Checked(decimals, value))
}

const fn text(name: &'static str, value: fn(&Row) -> String) -> Column {
    Column::new(name, CellValue::Text(value))
}

fn per_gpu(row: &Row, value: Option<f64>) -> Option<f64> {
    Some(value? / f64::from(row.num_gpu?))
}

/// The ten columns of the Python benchmark that servemark replaces, in its order and by its names.
pub const ORIGINAL: [Column; 10] = [
    text("Number of Concurrent Requests", concurrency),
    percentile("P50 Latency (ms)", 2, |s| s.e2el_ms, P50),
    percentile("P99 Latency (ms)", 2, |s| s.e2el_ms, P99),
    figure("RPS", 3, |_, s| Some(s.rps)),
    figure("Output Tokens per Second", 2, |_, s| s.output_tok_s),
    figure("Output Tokens per Second per GPU", 2, |r, s| {
        per_gpu(r, s.output_tok_s)
    }),
    figure("Input Tokens per Second", 2, |_, s| Some(s.input_tok_s)),
    figure("Input Tokens per Second per GPU", 2, |r, s| {
        per_gpu(r, Some(s.input_tok_s))
    }),
    figure("Average Output Tokens per Second per Request", 2, |_, s| {
        s.tok_s_per_request
    }),
    figure("Number of Requests Below Threshold", 0, |_, s| {
        Some(s.below_threshold as f64)
    }),
];

macro_rules! distribution {
    ($name:literal, $field:ident) => {
        [
            figure(concat!($name, " Mean (ms)"), 3, |_, s| {
                s.$field.map(|d: Distribution| d.mean)
            }),
            percentile(concat!($name, " P50 (ms)"), 3, |s| s.$field, P50),
            percentile(concat!($name, " P90 (ms)"), 3, |s| s.$field, P90),
            percentile(concat!($name, " P95 (ms)"), 3, |s| s.$field, P95),
            percentile(concat!($name, " P99 (ms)"), 3, |s| s.$field, P99),
            percentile(concat!($name, " P99.9 (ms)"), 3, |s| s.$field, P99_9),
        ]
    };
}

fn concurrency(row: &Row) -> String {
    let requests = row.level.concurrency();
    requests.map_or(NOT_AVAILABLE.to_owned(), |requests| requests.to_string())
}

fn request_rate(row: &Row) -> String {
    match row.level {
        Level::Rate(rate) => rate.to_string(),
        Level::Concurrency(_) => NOT_AVAILABLE.to_owned(),
    }
}

/// The point of a row.
pub const POINT: [Column; 3] = [
    text("Benchmark", |r| r.bench.clone()),
    text("Prompt", |r| r.prompt.clone()),
    text("Prompt Tokens", |r| {
        r.lengths.prompt.rounded_mean().to_string()
    }),
];

/// The level of an open loop.
pub const RATE: [Column; 1] = [text("Request Rate (req/s)", request_rate)];

/// Latencies of the requests, each with the figures of [`LATENCY_FIGURES`].
pub const LATENCY: [[Column; 6]; 6] = [
    distribution!("TTFT", ttft_ms),
    distribution!("TPOT", tpot_ms),
    distribution!("ITL", itl_ms),
    distribution!("E2EL", e2el_ms),
    distribution!("Safety Check", safety_ms),
    distribution!("TTFO", ttfo_ms),
];

/// The figures of a latency, in the order of their columns.
pub const LATENCY_FIGURES: [&str; 6] = ["Mean", "P50", "P90", "P95", "P99", "P99.9"];

/// The point of a row, in a terminal's table.
pub const SHORT_POINT: [Column; 3] = [
    text("prompt", |r| r.prompt.clone()),
    text("c", concurrency),
    text("rate", request_rate),
];

/// The main figures of a terminal's table.
pub const SHORT_THROUGHPUT: [Column; 9] = [
    text("prompt tokens", |r| r.lengths.prompt.to_string()),
    short("tok/s", |_, s| s.output_tok_s),
    short("tok/s per GPU", |r, s| per_gpu(r, s.output_tok_s)),
    short("req/s", |_, s| Some(s.rps)),
    short("goodput req/s", |_, s| s.goodput),
    text("requests", |r| {
        r.summary().map_or(0, |s| s.completed).to_string()
    }),
    text("failed", failed).styled(if_failed),
    text("client", client).styled(if_client_bound),
    text(REMARK, |r| {
        let is_saturated = r.summary().is_some_and(|s| s.saturation.is_some());
        let remarks = [
            ("partial", r.partial.is_some()),
            ("saturated", is_saturated),
        ];
        let remarks = remarks.iter().filter(|remark| remark.1);
        Vec::from_iter(remarks.map(|remark| remark.0)).join(", ")
    })
    .styled(|r| doubtful_if(r.partial.is_some())),
];

/// Head of the terminal table's column that marks partial and saturated points, shown if there is one.
pub const REMARK: &str = "remark";

/// The main latencies of tokens in a terminal's table.
pub const SHORT_TOKENS: [Column; 7] = [
    short_percentile("TTFT p50 ms", |s| s.ttft_ms, P50),
    short_percentile("TTFT p95 ms", |s| s.ttft_ms, P95),
    short_percentile("TTFT p99 ms", |s| s.ttft_ms, P99),
    short_percentile("TTFT p99.9 ms", |s| s.ttft_ms, P99_9),
    short_percentile("TTFO p50 ms", |s| s.ttfo_ms, P50),
    short("TPOT mean ms", |_, s| Some(s.tpot_ms?.mean)),
    short_percentile("ITL p99 ms", |s| s.itl_ms, P99),
];

/// The main latencies of whole requests in a terminal's table.
pub const SHORT_REQUESTS: [Column; 5] = [
    short_percentile("E2EL p50 ms", |s| s.e2el_ms, P50),
    short_percentile("E2EL p95 ms", |s| s.e2el_ms, P95),
    short_percentile("E2EL p99 ms", |s| s.e2el_ms, P99),
    short_percentile("E2EL p99.9 ms", |s| s.e2el_ms, P99_9),
    short("safety ms", |_, s| Some(s.safety_ms?.mean)),
];

/// The figures of a baseline's points.
pub const BASELINE: [Column; 10] = [
    text("Point", |r| match r.partial {
        Some(_) => format!("{} (partial)", r.name()),
        None => r.name(),
    }),
    figure("Output tok/s", 1, |_, s| s.output_tok_s),
    figure("RPS", 3, |_, s| Some(s.rps)),
    percentile("TTFT P50 (ms)", 2, |s| s.ttft_ms, P50),
    figure("TPOT mean (ms)", 3, |_, s| Some(s.tpot_ms?.mean)),
    percentile("E2EL P50 (ms)", 2, |s| s.e2el_ms, P50),
    percentile("E2EL P99 (ms)", 2, |s| s.e2el_ms, P99),
    figure("Requests", 0, |_, s| Some(s.completed as f64)),
    text("Failed", failed).styled(if_failed),
    text("Client", client).styled(if_client_bound),
];

fn failed(row: &Row) -> String {
    // In a damaged record the sum may overflow.
    let failures = row.failures().iter().map(|f| f.count as u128);
    failures.sum::<u128>().to_string()
}

fn if_failed(row: &Row) -> Style {
    match row.failures().iter().any(|failures| failures.count > 0) {
        true => BAD,
        false => Style::new(),
    }
}

/// Whether the client was the limit, if that was checked.
fn is_client_bound(row: &Row) -> Option<bool> {
    let check = row.self_check.as_ref()?;
    Some(!check.client_bound.is_empty())
}

fn client(row: &Row) -> String {
    match is_client_bound(row) {
        Some(false) => "kept up",
        Some(true) => "client-bound",
        None => NOT_AVAILABLE,
    }
    .to_owned()
}

fn if_client_bound(row: &Row) -> Style {
    doubtful_if(is_client_bound(row) == Some(true))
}

fn doubtful_if(is_doubtful: bool) -> Style {
    match is_doubtful {
        true => DOUBTFUL,
        false => Style::new(),
    }
}

/// The conditions of the measurement.
pub const CONTEXT: [Column; 8] = [
    figure("Goodput (req/s)", 3, |_, s| s.goodput),
    text("Completed Requests", |r| {
        r.summary().map_or(0, |s| s.completed).to_string()
    }),
    text("Failed Requests", failed),
    text("Blocked Requests", |r| {
        r.blocked()
            .iter()
            .map(|b| b.count as u128)
            .sum::<u128>()
            .to_string()
    }),
    text("Endpoints", |r| r.endpoints.to_string()),
    text("Load Shape", |r| r.load_shape.clone()),
    text("Token Count Source", |r| {
        r.summary()
            .map_or(NOT_AVAILABLE, |s| s.tokens.source())
            .to_owned()
    }),
    text("Simulated", |r| match &r.simulated {
        Some(preset) => format!("simulated ({preset})"),
        None => "no".to_owned(),
    }),
];

/// Whether the client kept up.
pub const CLIENT: [Column; 5] = [
    text("Client", client),
    checked("Client Busy Share", 3, |c| c.busy_share),
    checked("Client Starved Share", 3, |c| c.starved_share),
    checked("Event-Loop Lag P99 (ms)", 2, |c| Some(c.loop_lag_ms?.p99)),
    checked("Send Lag P99 (ms)", 2, |c| Some(c.send_lag_ms?.p99)),
];

/// Whether the connections were verified.
pub const CONNECTION: [Column; 1] = [text("Insecure", |r| match r.insecure {
    true => "certificates not verified".to_owned(),
    false => "no".to_owned(),
})];

/// Whether the point was measured completely.
pub const EXTENT: [Column; 1] = [text("Partial", |r| match &r.partial {
    Some(why) => format!("partial: {why}"),
    None => "no".to_owned(),
})];

/// All columns of the CSV file, in order.
pub fn all() -> impl Iterator<Item = &'static Column> {
    ORIGINAL
        .iter()
        .chain(&POINT)
        .chain(&RATE)
        .chain(LATENCY.iter().flatten())
        .chain(&CONTEXT)
        .chain(&CLIENT)
        .chain(&CONNECTION)
        .chain(&EXTENT)
}
