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
mod tests;
