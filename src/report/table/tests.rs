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
        prompt: "a-prompt-whose-name-is-longer-than-anyone-would-like-to-read-in-a-table".repeat(2),
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
