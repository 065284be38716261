use comfy_table::Table;

use super::columns::{self, Column};
use super::grid::{grid, is_wide, narrow_grid};
use super::style::{BAD, DOUBTFUL, plain, styled};
use super::{PointResult, Row, label};
use crate::metrics::Percentile::P99;
use crate::metrics::{EndpointShare, Summary, TokenCounts};

/// The table at the end of a run with the main figures, at most 120 columns wide, and its notes. It has the rows
/// of the CSV file, which has all columns.
///
/// It is Markdown, so that it can be pasted into an issue, with styles for a terminal.
pub fn table(rows: &[Row]) -> String {
    let shown = |column: &&Column| {
        let optional = [
            "c",
            "rate",
            "tok/s per GPU",
            "goodput req/s",
            "client",
            columns::REMARK,
        ];
        !optional.contains(&column.name) || column.has_values(rows)
    };
    let point = || columns::SHORT_POINT.iter().filter(shown);
    let throughput = point().chain(columns::SHORT_THROUGHPUT.iter().filter(shown));
    let mut tables = vec![fitting(rows, &Vec::from_iter(throughput))];
    tables.extend(latency_tables(rows, &Vec::from_iter(point())));
    with_notes(rows, tables)
}

/// The main latencies in one table; in two, of tokens and of whole requests, if one is too wide. None if every point
/// failed.
fn latency_tables(rows: &[Row], point: &[&'static Column]) -> Vec<Table> {
    let parts: [&'static [Column]; 2] = [&columns::SHORT_TOKENS, &columns::SHORT_REQUESTS];
    let parts = parts.map(|part| Vec::from_iter(part.iter().filter(|c| c.is_shown(rows))));
    let beside_point = |latencies: &[&'static Column]| [point, latencies].concat();
    let all = beside_point(&parts.concat());
    let parts = parts.iter().filter(|part| !part.is_empty());
    match is_wide(&whole(rows, &all)) {
        false if all.len() > point.len() => vec![fitting(rows, &all)],
        _ => parts
            .map(|part| fitting(rows, &beside_point(part)))
            .collect(),
    }
}

/// All columns of the CSV file as Markdown tables, however wide, and the notes below them.
///
/// The first table has the ten original columns, the second the latencies, the third the conditions of the
/// measurement.
pub fn markdown(rows: &[Row]) -> String {
    let [_, prompt, prompt_tokens] = &columns::POINT;
    let concurrency = &columns::ORIGINAL[0];
    let rate = || columns::RATE.iter().filter(|c| c.has_values(rows));
    let throughput = columns::ORIGINAL.iter().chain([prompt]).chain(rate());
    // With a latency's mean it has percentiles, or the number of values that they lack.
    let latency = columns::LATENCY
        .iter()
        .filter(|latency| latency[0].has_values(rows))
        .flatten();
    let latency = [prompt, concurrency]
        .into_iter()
        .chain(rate())
        .chain(latency);
    let context = [prompt, prompt_tokens, concurrency]
        .into_iter()
        .chain(rate())
        .chain(&columns::CONTEXT)
        .chain(&columns::CLIENT)
        .chain(&columns::CONNECTION)
        .chain(
            columns::EXTENT
                .iter()
                .filter(|_| rows.iter().any(|row| row.partial.is_some())),
        );
    let tables = [
        throughput.collect::<Vec<_>>(),
        latency.collect(),
        context.collect(),
    ];
    plain(&with_notes(
        rows,
        tables.map(|columns| whole(rows, &columns)).into(),
    ))
}

fn with_notes(rows: &[Row], tables: Vec<Table>) -> String {
    let mut text = title(rows) + "\n\n";
    for table in tables {
        text.push_str(&format!("{table}\n\n"));
    }
    for note in styled_notes(rows) {
        text.push_str(&format!("- {note}\n"));
    }
    text
}

/// The `text` of each benchmark's rows, in the order of their first rows.
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
        return label::heading("## No point was measured", None, false);
    };
    let heading = format!("## {}", row.bench);
    label::heading(&heading, row.simulated.as_deref(), row.insecure)
}

fn whole(rows: &[Row], columns: &[&Column]) -> Table {
    let (head, cells) = columns::head_and_cells(rows, columns);
    grid(head, cells, 0)
}

fn fitting(rows: &[Row], columns: &[&Column]) -> Table {
    let (head, cells) = columns::head_and_cells(rows, columns);
    narrow_grid(head, cells, 1)
}

/// Notes below a table: failures by cause, blocked prompts, reasons for `n/a`.
pub fn notes(rows: &[Row]) -> Vec<String> {
    let notes = styled_notes(rows).into_iter();
    notes.map(|note| plain(&note)).collect()
}

fn styled_notes(rows: &[Row]) -> Vec<String> {
    let mut notes: Vec<String> = rows.iter().flat_map(notes_of_point).collect();
    let measured = || rows.iter().filter_map(Row::summary);
    let counted = |by: fn(&TokenCounts) -> usize| {
        let counts = measured().map(|s| by(&s.tokens));
        counts.fold(0, usize::saturating_add)
    };
    let by_tokenizer = counted(|t| t.by_tokenizer);
    let answers = by_tokenizer.saturating_add(counted(|t| t.by_server));
    let counted_by_tokenizer = format!(
        "output tokens of {by_tokenizer} of {answers} answers were counted by the tokenizer, as the server counted none (usage); re-tokenized text tends to over-count"
    );
    let general = [
        (
            rows.iter().any(|r| r.num_gpu.is_none()),
            "per-GPU figures are n/a: set NUM_GPU to the number of GPUs behind all endpoints",
        ),
        (
            measured().any(|s| s.ttfo_ms.is_some()),
            "TTFT counts reasoning; TTFO is the time to the first token of the answer itself",
        ),
        (
            measured().any(|s| s.ttft_ms.is_none() && s.saturation.is_none()),
            "TTFT, TPOT and ITL are n/a where responses are not streamed (STREAM: false)",
        ),
        (
            measured().any(|s| s.e2el_ms.is_some_and(|d| d.percentile(P99).is_err())),
            "n/a (20 of 1,000) means 20 values where the percentile needs 1,000, ten of them beyond it: measure longer",
        ),
        (by_tokenizer > 0, &counted_by_tokenizer),
        (
            measured().any(|s| s.tokens.uncounted > 0),
            "some requests' output tokens could not be counted and are missing from tok/s",
        ),
        (
            measured().any(|s| s.tokens.coalesced > 0),
            "some stream events carried several tokens; each token beyond the first counts as a gap of 0 in ITL",
        ),
    ];
    let general = general.into_iter().filter(|(applies, _)| *applies);
    notes.extend(general.map(|(_, note)| note.to_owned()));
    notes
}

fn notes_of_point(row: &Row) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(why) = &row.partial {
        notes.push(format!(
            "{}: {why}; its figures cover what was measured until then",
            styled(DOUBTFUL, "partial")
        ));
    }
    if let PointResult::Failed { .. } = row.result {
        notes.push(format!("{}, no request succeeded", styled(BAD, "FAILED")));
    }
    notes.extend(row.failures().iter().map(|failure| {
        let (cause, first) = (&failure.cause, &failure.first_message);
        format!("{} × {cause}, first: {first}", failure.count)
    }));
    notes.extend(row.blocked().iter().map(|blocked| {
        format!(
            "safety check blocked {} × {} ({}, severity up to {}), first: request {}",
            blocked.count, blocked.stage, blocked.category, blocked.severity, blocked.first_index
        )
    }));
    if let Some(summary) = row.summary() {
        notes.extend(summary.saturation.iter().map(ToString::to_string));
        notes.extend(summary.littles_law.iter().map(ToString::to_string));
        notes.extend(summary.contradictions.iter().map(ToString::to_string));
        notes.extend(summary.outages.iter().map(ToString::to_string));
        notes.extend(failing(summary));
        notes.extend(uneven(summary));
    }
    let named = notes.into_iter();
    named
        .map(|note| format!("{}: {note}", row.name()))
        .collect()
}

/// A note if the endpoints' shares of failed requests differ.
fn failing(summary: &Summary) -> Option<String> {
    // A damaged record may contain any counts.
    let failed = |e: &EndpointShare| e.requests.saturating_sub(e.completed);
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
        format!("endpoints failed differently: {each}")
    })
}

/// A note if the endpoints' mean latencies differ, as an average over all hides a slow replica.
fn uneven(summary: &Summary) -> Option<String> {
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
            "endpoints are uneven: mean E2EL {fastest:.1} ms on the fastest, {slowest:.1} ms on the slowest"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::SelfCheck;
    use crate::report::row_tests::{failed, measured, measured_with};
    use crate::report::style::{HEADING, LABEL};

    /// The text without styles.
    fn shown(form: fn(&[Row]) -> String, rows: &[Row]) -> String {
        plain(&form(rows))
    }

    #[test]
    fn only_what_must_not_be_missed_is_styled() {
        let client_bound = Row {
            partial: Some("SIGTERM ended the run".to_owned()),
            self_check: Some(SelfCheck {
                busy_share: Some(0.9),
                starved_share: None,
                loop_lag_ms: None,
                send_lag_ms: None,
                client_bound: vec!["its threads were busy".to_owned()],
            }),
            ..measured()
        };
        let text = table(&[measured(), failed(), client_bound]);
        let phrases = [
            (HEADING, "## chat_throughput", 1),
            (LABEL, "**simulated**", 1),
            (BAD, "3", 1),
            (BAD, "FAILED", 1),
            (DOUBTFUL, "client-bound", 1),
            (DOUBTFUL, "partial", 2),
        ];
        for (style, phrase, count) in phrases {
            let found = text.matches(&styled(style, phrase)).count();
            assert_eq!(found, count, "{phrase}: {text:?}");
        }
        let starts = text.matches("\u{1b}[0m").count();
        assert_eq!(starts, 7, "no more: {text:?}");
        assert_eq!(markdown(&[failed()]).matches('\u{1b}').count(), 0);
    }

    #[test]
    fn simulated_figures_say_so_and_failures_are_named() {
        for text in [table, markdown].map(|form| shown(form, &[measured(), failed()])) {
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
            lengths: crate::prompt::RequestLengths::of_prompt(1_000_000),
            level: "c=100000".parse().unwrap(),
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
                (figures.p95, figures.p99_9) = (Some(1e8), Some(1e8));
                figures.count = 20_000;
            }
            summary.safety_ms = summary.e2el_ms;
        }
        row
    }

    #[test]
    fn the_terminals_table_fits_120_columns_and_has_every_row() {
        for rows in [vec![measured(), failed()], vec![wide(), measured()]] {
            let text = shown(table, &rows);
            for line in text.lines().filter(|line| line.starts_with('|')) {
                assert!(line.chars().count() <= 120, "{line}");
            }
            for head in ["tok/s", "req/s", "failed", "TTFT p99 ms", "E2EL p50 ms"] {
                assert!(text.contains(&format!("{head} |")), "{head}: {text}");
            }
            assert_eq!(text.contains("tok/s per GPU"), rows[0].num_gpu.is_some());
        }
        let text = shown(table, &[wide()]);
        assert!(text.contains(" 15432099 |"), "per GPU: {text}");
        let text = shown(table, &[measured(), failed()]);
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
    fn a_percentile_of_too_few_values_is_marked() {
        let text = shown(table, &[measured_with(20)]);
        assert!(text.contains("| n/a (20 of 1,000) |"), "{text}");
        assert!(text.contains("|       0.200 |"), "20 have a P50: {text}");
        for extra in ["p95", "p99.9"] {
            assert!(!text.contains(extra), "no point has it: {text}");
        }
        let text = shown(table, &[measured_with(20), measured_with(250)]);
        assert!(text.contains("| n/a (20 of 200) |"), "{text}");
        assert!(text.contains("| n/a (250 of 1,000) |"), "{text}");
        assert!(!text.contains("p99.9"), "no point has it: {text}");
        let text = shown(table, &[measured_with(9_999), measured_with(10_000)]);
        assert!(text.contains("| n/a (9,999 of 10,000) |"), "{text}");
        assert!(!text.contains("| n/a (9,999 of 1,000)"), "{text}");
        let text = markdown(&[measured_with(20)]);
        for name in ["P90", "P95", "P99", "P99.9"] {
            assert!(text.contains(&format!(" TTFT {name} (ms) |")), "{text}");
        }
        assert!(text.contains(" n/a (20 of 10,000) |"), "{text}");
    }

    #[test]
    fn points_without_any_success_have_no_table_of_latencies() {
        let text = shown(table, &[failed()]);
        assert!(
            text.contains("| failed |") && !text.contains("TTFT"),
            "{text}"
        );
        assert_eq!(text.matches("| prompt |").count(), 1, "{text}");
    }

    #[test]
    fn contradictions_are_notes() {
        let mut row = measured();
        if let PointResult::Measured(summary) = &mut row.result {
            summary.contradictions = vec![crate::metrics::Contradiction {
                kind: crate::metrics::ContradictionKind::OneRead,
                answers: 2,
                of: 3,
                detail: "all at once".to_owned(),
            }];
        }
        for text in [table, markdown].map(|form| shown(form, std::slice::from_ref(&row))) {
            let note = "- chat_throughput/25 c=8: 2 of 3 answers: all at once";
            assert!(text.contains(note), "{text}");
        }
    }

    #[test]
    fn a_partial_point_is_marked_and_no_other() {
        let partial = Row {
            level: "c=16".parse().unwrap(),
            partial: Some("SIGTERM ended the run".to_owned()),
            ..measured()
        };
        for text in [table, markdown].map(|form| shown(form, &[measured(), partial.clone()])) {
            let note = "- chat_throughput/25 c=16: partial: SIGTERM ended the run";
            assert!(text.contains(note), "{text}");
            let marked = text.lines().filter(|line| line.contains("| partial"));
            assert_eq!(marked.count(), 1, "{text}");
        }
        for text in [table, markdown].map(|form| shown(form, &[measured(), failed()])) {
            assert!(!text.to_lowercase().contains("partial"), "{text}");
            assert!(!text.contains(columns::REMARK), "{text}");
        }
    }

    #[test]
    fn each_bench_has_its_own_table() {
        let other = Row {
            bench: "pretrained_throughput".into(),
            ..measured()
        };
        let tables = by_bench(&[measured(), other, failed()], table);
        assert_eq!(tables.len(), 2);
        assert!(tables[0].contains("FAILED") && !tables[1].contains("FAILED"));
    }
}
