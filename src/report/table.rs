use comfy_table::{CellAlignment, Table, presets};

use super::columns::{self, Column};
use super::{PointResult, Row, label};

/// The Markdown tables printed at the end of a run, and the notes below them.
///
/// The first table has the ten original columns first, the second the latencies, the third how the
/// figures came about: together the columns of the CSV file.
pub fn markdown(rows: &[Row]) -> String {
    let [_, prompt, prompt_tokens] = &columns::POINT;
    let concurrency = &columns::ORIGINAL[0];
    let throughput = columns::ORIGINAL.iter().chain([prompt]);
    // A column of nothing but n/a says less than its absence.
    let latency = columns::LATENCY
        .iter()
        .flatten()
        .filter(|c| rows.iter().any(|row| c.cell(row) != columns::NOT_AVAILABLE));
    let latency = [prompt, concurrency].into_iter().chain(latency);
    let context = [prompt, prompt_tokens, concurrency]
        .into_iter()
        .chain(&columns::CONTEXT)
        .chain(&columns::CLIENT);
    let mut text = format!("## {}\n\n", title(rows));
    for columns in [
        throughput.collect::<Vec<_>>(),
        latency.collect(),
        context.collect(),
    ] {
        text.push_str(&table(rows, &columns));
        text.push_str("\n\n");
    }
    for note in notes(rows) {
        text.push_str(&format!("- {note}\n"));
    }
    text
}

/// [`markdown`] for each benchmark, in the order of their first rows.
pub fn markdown_by_bench(rows: &[Row]) -> Vec<String> {
    let mut benches: Vec<&str> = rows.iter().map(|row| &*row.bench).collect();
    let mut seen = std::collections::HashSet::new();
    benches.retain(|bench| seen.insert(*bench));
    let of = |bench: &str| -> Vec<Row> {
        let rows = rows.iter().filter(|row| row.bench == bench);
        rows.cloned().collect()
    };
    benches
        .into_iter()
        .map(|bench| markdown(&of(bench)))
        .collect()
}

fn title(rows: &[Row]) -> String {
    let Some(row) = rows.first() else {
        return "No point was measured".to_owned();
    };
    row.bench.clone() + &label::simulated(row.simulated.as_deref())
}

fn table(rows: &[Row], columns: &[&Column]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(columns.iter().map(|c| c.name));
    for row in rows {
        table.add_row(columns.iter().map(|c| c.cell(row)));
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// What a reader must know beside the figures: failures by cause, blocked prompts, reasons of `n/a`.
pub fn notes(rows: &[Row]) -> Vec<String> {
    let mut notes = Vec::new();
    for row in rows {
        if let PointResult::Failed { .. } = row.result {
            notes.push(format!("{}: FAILED, no request succeeded", row.name()));
        }
        for failure in row.failures() {
            notes.push(format!(
                "{}: {} × {}, first: {}",
                row.name(),
                failure.count,
                failure.cause,
                failure.first_message
            ));
        }
        for blocked in row.blocked() {
            notes.push(format!(
                "{}: safety check blocked {} × {} ({}, severity up to {}), first: request {}",
                row.name(),
                blocked.count,
                blocked.stage,
                blocked.category,
                blocked.severity,
                blocked.first_index
            ));
        }
        notes.extend(row.summary().into_iter().flat_map(|s| uneven(row, s)));
    }
    let measured = || rows.iter().filter_map(Row::summary);
    if rows.iter().any(|r| r.num_gpu.is_none()) {
        notes.push(
            "per-GPU figures are n/a: set NUM_GPU to the number of GPUs behind all endpoints"
                .into(),
        );
    }
    if measured().any(|s| s.ttft_ms.is_none()) {
        notes.push(
            "TTFT, TPOT and ITL are n/a where responses are not streamed (STREAM: false)".into(),
        );
    }
    if measured().any(|s| s.tokens.by_tokenizer > 0) {
        notes.push(
            "output tokens were counted by the tokenizer, as the server sent no usage; re-tokenized text tends to over-count"
                .into(),
        );
    }
    if measured().any(|s| s.tokens.uncounted > 0) {
        notes.push(
            "some requests' output tokens could not be counted and are missing from tok/s".into(),
        );
    }
    if measured().any(|s| s.tokens.coalesced > 0) {
        notes.push(
            "some stream events carried several tokens; each token beyond the first counts as a gap of 0 in ITL".into(),
        );
    }
    notes
}

/// Names endpoints whose mean latency stands out, as an average over all hides a slow replica.
fn uneven(row: &Row, summary: &crate::metrics::Summary) -> Option<String> {
    let means: Vec<f64> = summary
        .endpoints
        .iter()
        .filter_map(|e| e.mean_e2el_ms)
        .collect();
    let (slowest, fastest) = (
        means.iter().copied().reduce(f64::max)?,
        means.iter().copied().reduce(f64::min)?,
    );
    (slowest > 1.5 * fastest).then(|| {
        format!(
            "{}: endpoints are uneven: mean E2EL {fastest:.1} ms on the fastest, {slowest:.1} ms on the slowest",
            row.name()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row_tests::{failed, measured};

    #[test]
    fn simulated_figures_say_so_and_failures_are_named() {
        let text = markdown(&[measured(), failed()]);
        assert!(
            text.starts_with("## chat_throughput — **simulated**"),
            "{text}"
        );
        assert!(
            text.contains("| Number of Concurrent Requests | P50 Latency (ms) |"),
            "{text}"
        );
        assert!(text.contains("chat_throughput/25 c=8: FAILED"), "{text}");
        assert!(text.contains("3 × HTTP 503, first: busy"), "{text}");
        assert!(text.contains("set NUM_GPU"), "{text}");
        assert!(
            !text.contains("Safety Check"),
            "no check, no column: {text}"
        );
    }
}
