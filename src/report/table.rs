use comfy_table::Table;

use super::columns::{self, Column};
use super::grid::{grid, narrow_grid};
use super::{PointResult, Row, label};
use crate::metrics::{EndpointShare, Summary, TokenCounts};

/// The table that a run ends with, at most 120 columns wide, and the notes below it: what a person looks
/// for first. It has the rows of the CSV file, which has all columns.
///
/// It is Markdown, so that it can be pasted into an issue.
pub fn table(rows: &[Row]) -> String {
    let told = |column: &&Column| {
        let optional = ["tok/s per GPU", "goodput req/s", "client"].contains(&column.name);
        !optional || known(rows, column)
    };
    let throughput = columns::SHORT_POINT
        .iter()
        .chain(columns::SHORT_THROUGHPUT.iter().filter(told));
    let latency = columns::SHORT_LATENCY.iter().filter(|c| known(rows, c));
    let latency: Vec<&Column> = latency.collect();
    let mut tables = vec![fitting(rows, &Vec::from_iter(throughput))];
    // Where every point failed there is no latency to show.
    if !latency.is_empty() {
        let columns = columns::SHORT_POINT.iter().chain(latency);
        tables.push(fitting(rows, &Vec::from_iter(columns)));
    }
    with_notes(rows, tables)
}

/// All columns of the CSV file as Markdown tables, however wide, and the notes below them.
///
/// The first table has the ten original columns first, the second the latencies, the third how the
/// figures came about.
pub fn markdown(rows: &[Row]) -> String {
    let [_, prompt, prompt_tokens] = &columns::POINT;
    let concurrency = &columns::ORIGINAL[0];
    let throughput = columns::ORIGINAL.iter().chain([prompt]);
    let latency = columns::LATENCY.iter().flatten().filter(|c| known(rows, c));
    let latency = [prompt, concurrency].into_iter().chain(latency);
    let context = [prompt, prompt_tokens, concurrency]
        .into_iter()
        .chain(&columns::CONTEXT)
        .chain(&columns::CLIENT)
        .chain(&columns::CONNECTION);
    let tables = [
        throughput.collect::<Vec<_>>(),
        latency.collect(),
        context.collect(),
    ];
    with_notes(rows, tables.map(|columns| whole(rows, &columns)).into())
}

/// Whether any row has a value: a column of nothing but n/a says less than its absence.
fn known(rows: &[Row], column: &Column) -> bool {
    let mut cells = rows.iter().map(|row| column.cell(row));
    cells.any(|cell| cell != columns::NOT_AVAILABLE)
}

fn with_notes(rows: &[Row], tables: Vec<Table>) -> String {
    let mut text = format!("## {}\n\n", title(rows));
    for table in tables {
        text.push_str(&format!("{table}\n\n"));
    }
    for note in notes(rows) {
        text.push_str(&format!("- {note}\n"));
    }
    text
}

/// `text` of each benchmark's rows, in the order of their first rows.
pub fn by_bench(rows: &[Row], text: fn(&[Row]) -> String) -> Vec<String> {
    let mut benches: Vec<&str> = rows.iter().map(|row| &*row.bench).collect();
    let mut seen = std::collections::HashSet::new();
    benches.retain(|bench| seen.insert(*bench));
    let of = |bench: &str| -> Vec<Row> {
        let rows = rows.iter().filter(|row| row.bench == bench);
        rows.cloned().collect()
    };
    benches.into_iter().map(|bench| text(&of(bench))).collect()
}

fn title(rows: &[Row]) -> String {
    let Some(row) = rows.first() else {
        return "No point was measured".to_owned();
    };
    row.bench.clone() + &label::of(row.simulated.as_deref(), row.insecure)
}

fn cells<'a>(
    rows: &'a [Row],
    columns: &'a [&Column],
) -> (Vec<String>, impl Iterator<Item = Vec<String>> + 'a) {
    let head = columns.iter().map(|c| c.name.to_owned()).collect();
    let rows = rows
        .iter()
        .map(|row| columns.iter().map(|c| c.cell(row)).collect());
    (head, rows)
}

fn whole(rows: &[Row], columns: &[&Column]) -> Table {
    let (head, rows) = cells(rows, columns);
    grid(head, rows, 0)
}

fn fitting(rows: &[Row], columns: &[&Column]) -> Table {
    let (head, rows) = cells(rows, columns);
    narrow_grid(head, rows, 1)
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
        let contradictions = row.summary().into_iter().flat_map(|s| &s.contradictions);
        notes.extend(contradictions.map(|c| format!("{}: {c}", row.name())));
        notes.extend(row.summary().into_iter().flat_map(|s| failing(row, s)));
        notes.extend(row.summary().into_iter().flat_map(|s| uneven(row, s)));
    }
    let measured = || rows.iter().filter_map(Row::summary);
    if rows.iter().any(|r| r.num_gpu.is_none()) {
        notes.push(
            "per-GPU figures are n/a: set NUM_GPU to the number of GPUs behind all endpoints"
                .into(),
        );
    }
    if measured().any(|s| s.ttfo_ms.is_some()) {
        notes.push(
            "TTFT counts reasoning; TTFO is the time to the first token of the answer itself"
                .into(),
        );
    }
    if measured().any(|s| s.ttft_ms.is_none()) {
        notes.push(
            "TTFT, TPOT and ITL are n/a where responses are not streamed (STREAM: false)".into(),
        );
    }
    let counted = |by: fn(&TokenCounts) -> usize| measured().map(|s| by(&s.tokens)).sum::<usize>();
    let (by_tokenizer, by_server) = (counted(|t| t.by_tokenizer), counted(|t| t.by_server));
    if by_tokenizer > 0 {
        notes.push(format!(
            "output tokens of {by_tokenizer} of {} answers were counted by the tokenizer, as the server counted none (usage); re-tokenized text tends to over-count",
            by_tokenizer + by_server
        ));
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

/// Says where requests failed, if not at all endpoints alike.
fn failing(row: &Row, summary: &Summary) -> Option<String> {
    let failed = |e: &EndpointShare| e.requests - e.completed;
    let shares = || {
        summary
            .endpoints
            .iter()
            .map(|e| failed(e) as f64 / e.requests.max(1) as f64)
    };
    let (least, most) = (shares().reduce(f64::min)?, shares().reduce(f64::max)?);
    let each = summary.endpoints.iter().zip(1..);
    let each = each.map(|(e, at)| format!("{} of {} at endpoint {at}", failed(e), e.requests));
    (most - least > 0.05).then(|| {
        let each = Vec::from_iter(each).join(", ");
        format!("{}: requests did not fail alike: {each}", row.name())
    })
}

/// Names endpoints whose mean latency stands out, as an average over all hides a slow replica.
fn uneven(row: &Row, summary: &Summary) -> Option<String> {
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
        for text in [table, markdown].map(|form| form(&[measured(), failed()])) {
            assert!(
                text.starts_with("## chat_throughput — **simulated**"),
                "{text}"
            );
            assert!(text.contains("chat_throughput/25 c=8: FAILED"), "{text}");
            assert!(text.contains("3 × HTTP 503, first: busy"), "{text}");
            assert!(text.contains("set NUM_GPU"), "{text}");
            assert!(
                !text.to_lowercase().contains("safety"),
                "no check, no column: {text}"
            );
        }
        let text = markdown(&[measured(), failed()]);
        assert!(
            text.contains("| Number of Concurrent Requests | P50 Latency (ms) |"),
            "{text}"
        );
    }

    /// With everything that makes a table wide.
    fn wide() -> Row {
        let mut row = Row {
            prompt: "a-prompt-whose-name-is-longer-than-anyone-would-like-to-read-in-a-table"
                .repeat(2),
            prompt_tokens: 1_000_000,
            concurrency: 100_000,
            num_gpu: Some(8),
            ..measured()
        };
        if let PointResult::Measured(summary) = &mut row.result {
            summary.goodput = Some(123_456.7);
            summary.output_tok_s = Some(123_456_789.0);
            let latencies = [
                &mut summary.ttft_ms,
                &mut summary.tpot_ms,
                &mut summary.itl_ms,
                &mut summary.e2el_ms,
            ];
            for figures in latencies.into_iter().flatten() {
                (figures.mean, figures.p50, figures.p99) = (1e6, 1e7, 1e8);
            }
            summary.safety_ms = summary.e2el_ms;
        }
        row
    }

    #[test]
    fn the_terminals_table_fits_120_columns_and_has_every_row() {
        for rows in [vec![measured(), failed()], vec![wide(), measured()]] {
            let text = table(&rows);
            for line in text.lines().filter(|line| line.starts_with('|')) {
                assert!(line.chars().count() <= 120, "{line}");
            }
            for head in ["tok/s", "req/s", "failed", "TTFT p99 ms", "E2EL p50 ms"] {
                assert!(text.contains(&format!("{head} |")), "{head}: {text}");
            }
            assert_eq!(text.contains("tok/s per GPU"), rows[0].num_gpu.is_some());
        }
        let text = table(&[wide()]);
        assert!(text.contains(" 15432099 |"), "per GPU: {text}");
        let text = table(&[measured(), failed()]);
        assert_eq!(
            text.matches("|     25 |").count(),
            0,
            "words are left-aligned: {text}"
        );
        assert_eq!(
            text.matches("| 25     |").count(),
            4,
            "two tables of two rows: {text}"
        );
    }

    #[test]
    fn points_without_any_success_have_no_table_of_latencies() {
        let text = table(&[failed()]);
        assert!(
            text.contains("| failed |") && !text.contains("TTFT"),
            "{text}"
        );
        assert_eq!(text.matches("| prompt |").count(), 1, "{text}");
    }

    #[test]
    fn what_the_answers_contradict_is_a_note() {
        let mut row = measured();
        if let PointResult::Measured(summary) = &mut row.result {
            summary.contradictions = vec![crate::metrics::Contradiction {
                kind: crate::metrics::ContradictionKind::OneRead,
                answers: 2,
                of: 3,
                detail: "all at once".to_owned(),
            }];
        }
        for text in [table, markdown].map(|form| form(std::slice::from_ref(&row))) {
            let note = "- chat_throughput/25 c=8: 2 of 3 answers: all at once";
            assert!(text.contains(note), "{text}");
        }
    }

    #[test]
    fn each_bench_has_a_table_of_its_own() {
        let other = Row {
            bench: "pretrained_throughput".into(),
            ..measured()
        };
        let tables = by_bench(&[measured(), other, failed()], table);
        assert_eq!(tables.len(), 2);
        assert!(tables[0].contains("FAILED") && !tables[1].contains("FAILED"));
    }
}
