//! The columns of tables and of the CSV file.

use super::Row;
use super::number::{NOT_AVAILABLE, fixed, or_na};
use crate::level::Level;
use crate::load::SelfCheck;
use crate::metrics::{Distribution, Summary};

/// A column: its head, and the cells of rows.
pub struct Column {
    /// Head, with the unit in brackets.
    pub name: &'static str,
    cell: Cell,
}

enum Cell {
    /// A figure and its decimals; `n/a` if it is not known.
    Figure(usize, Figure),
    /// A figure with four significant digits.
    Short(Figure),
    /// A figure of the client's self-check, and its decimals.
    Checked(usize, fn(&SelfCheck) -> Option<f64>),
    /// A text, also for failed points.
    Text(fn(&Row) -> String),
}

type Figure = fn(&Row, &Summary) -> Option<f64>;

impl Column {
    const fn new(name: &'static str, cell: Cell) -> Column {
        Column { name, cell }
    }

    /// The cell's text.
    pub fn cell(&self, row: &Row) -> String {
        let value = |figure: Figure| row.summary().and_then(|summary| figure(row, summary));
        match self.cell {
            Cell::Text(text) => text(row),
            Cell::Figure(decimals, figure) => fixed(value(figure), decimals),
            Cell::Short(figure) => or_na(value(figure)),
            Cell::Checked(decimals, figure) => {
                fixed(row.self_check.as_ref().and_then(figure), decimals)
            }
        }
    }
}

/// Head and cells of these columns.
pub fn head_and_cells(rows: &[Row], columns: &[&Column]) -> (Vec<String>, Vec<Vec<String>>) {
    let head = columns.iter().map(|column| column.name.to_owned());
    let cells = |row: &Row| columns.iter().map(|column| column.cell(row)).collect();
    (head.collect(), rows.iter().map(cells).collect())
}

const fn figure(name: &'static str, decimals: usize, value: Figure) -> Column {
    Column::new(name, Cell::Figure(decimals, value))
}

const fn short(name: &'static str, value: Figure) -> Column {
    Column::new(name, Cell::Short(value))
}

const fn checked(
    name: &'static str,
    decimals: usize,
    value: fn(&SelfCheck) -> Option<f64>,
) -> Column {
    Column::new(name, Cell::Checked(decimals, value))
}

const fn text(name: &'static str, value: fn(&Row) -> String) -> Column {
    Column::new(name, Cell::Text(value))
}

fn per_gpu(row: &Row, value: Option<f64>) -> Option<f64> {
    Some(value? / f64::from(row.num_gpu?))
}

/// The ten columns of the Python benchmark that servemark replaces, in its order and by its names.
pub const ORIGINAL: [Column; 10] = [
    text("Number of Concurrent Requests", concurrency),
    figure("P50 Latency (ms)", 2, |_, s| s.e2el_ms.map(|d| d.p50)),
    figure("P99 Latency (ms)", 2, |_, s| s.e2el_ms.map(|d| d.p99)),
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
            figure(concat!($name, " P50 (ms)"), 3, |_, s| {
                s.$field.map(|d: Distribution| d.p50)
            }),
            figure(concat!($name, " P90 (ms)"), 3, |_, s| {
                s.$field.map(|d: Distribution| d.p90)
            }),
            figure(concat!($name, " P99 (ms)"), 3, |_, s| {
                s.$field.map(|d: Distribution| d.p99)
            }),
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
    text("Prompt Tokens", |r| r.prompt_tokens.to_string()),
];

/// The level of an open loop.
pub const RATE: [Column; 1] = [text("Request Rate (req/s)", request_rate)];

/// Latencies of the requests.
pub const LATENCY: [[Column; 4]; 6] = [
    distribution!("TTFT", ttft_ms),
    distribution!("TPOT", tpot_ms),
    distribution!("ITL", itl_ms),
    distribution!("E2EL", e2el_ms),
    distribution!("Safety Check", safety_ms),
    distribution!("TTFO", ttfo_ms),
];

/// The point of a row, in a terminal's table.
pub const SHORT_POINT: [Column; 3] = [
    text("prompt", |r| r.prompt.clone()),
    text("c", concurrency),
    text("rate", request_rate),
];

/// The main figures of a terminal's table.
pub const SHORT_THROUGHPUT: [Column; 9] = [
    text("prompt tokens", |r| r.prompt_tokens.to_string()),
    short("tok/s", |_, s| s.output_tok_s),
    short("tok/s per GPU", |r, s| per_gpu(r, s.output_tok_s)),
    short("req/s", |_, s| Some(s.rps)),
    short("goodput req/s", |_, s| s.goodput),
    text("requests", |r| {
        r.summary().map_or(0, |s| s.completed).to_string()
    }),
    text("failed", failed),
    text("client", client),
    text(REMARK, |r| {
        let is_saturated = r.summary().is_some_and(|s| s.saturation.is_some());
        let remarks = [
            ("partial", r.partial.is_some()),
            ("saturated", is_saturated),
        ];
        let remarks = remarks.iter().filter(|remark| remark.1);
        Vec::from_iter(remarks.map(|remark| remark.0)).join(", ")
    }),
];

/// Head of the terminal table's column that marks partial and saturated points, shown if there is one.
pub const REMARK: &str = "remark";

/// The main latencies of a terminal's table.
pub const SHORT_LATENCY: [Column; 8] = [
    short("TTFT p50 ms", |_, s| Some(s.ttft_ms?.p50)),
    short("TTFT p99 ms", |_, s| Some(s.ttft_ms?.p99)),
    short("TTFO p50 ms", |_, s| Some(s.ttfo_ms?.p50)),
    short("TPOT mean ms", |_, s| Some(s.tpot_ms?.mean)),
    short("ITL p99 ms", |_, s| Some(s.itl_ms?.p99)),
    short("E2EL p50 ms", |_, s| Some(s.e2el_ms?.p50)),
    short("E2EL p99 ms", |_, s| Some(s.e2el_ms?.p99)),
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
    figure("TTFT P50 (ms)", 2, |_, s| Some(s.ttft_ms?.p50)),
    figure("TPOT mean (ms)", 3, |_, s| Some(s.tpot_ms?.mean)),
    figure("E2EL P50 (ms)", 2, |_, s| Some(s.e2el_ms?.p50)),
    figure("E2EL P99 (ms)", 2, |_, s| Some(s.e2el_ms?.p99)),
    figure("Requests", 0, |_, s| Some(s.completed as f64)),
    text("Failed", failed),
    text("Client", client),
];

fn failed(row: &Row) -> String {
    // In a damaged record the sum may overflow.
    let failures = row.failures().iter().map(|f| f.count as u128);
    failures.sum::<u128>().to_string()
}

fn client(row: &Row) -> String {
    let kept_up = row.self_check.as_ref().map(|c| c.client_bound.is_empty());
    match kept_up {
        Some(true) => "kept up",
        Some(false) => "client-bound",
        None => NOT_AVAILABLE,
    }
    .to_owned()
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
