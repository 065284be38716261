//! `servemark gate` as a CI job runs it.

mod records;

use records::{Results, Run};
use servemark::RunRecord;
use servemark::internals::metrics::FailureCount;

/// A baseline `old`, and what a change made of the latest run.
fn against(latest: &RunRecord) -> Results {
    let results = Results::new();
    results
        .write("old", &Run::new(1, "0%").record("0.31.0"))
        .write("new", latest);
    results
}

fn equal() -> RunRecord {
    Run::new(2, "0%").record("0.32.0")
}

fn slower() -> RunRecord {
    Run::new(2, "25%").record("0.32.0")
}

fn bound(mut record: RunRecord) -> RunRecord {
    record.self_check = serde_json::from_value(serde_json::json!({
        "busy_share": 0.95, "starved_share": null, "loop_lag_ms": null, "send_lag_ms": null,
        "client_bound": ["its threads were busy 95 % of the time (limit 80 %)"],
    }))
    .expect("a self-check");
    record
}

fn failing(mut record: RunRecord, count: usize) -> RunRecord {
    record.failures = vec![FailureCount {
        cause: "HTTP 503".to_owned(),
        count,
        first_message: "busy".to_owned(),
    }];
    record
}

const GATE: [&str; 3] = ["gate", "--baseline", "old"];

/// Runs the gate, the files on request written; its exit code, what it printed, both files.
fn gate(results: &Results, arguments: &[&str]) -> (Option<i32>, String, String, String) {
    let files = ["--junit", "gate.xml", "--markdown", "gate.md"];
    let (code, text) = results.servemark(&[&GATE[..], &files, arguments].concat());
    let file = |name: &str| {
        std::fs::read_to_string(results.path().join(name)).unwrap_or_else(|_| panic!("{text}"))
    };
    let (junit, markdown) = (file("gate.xml"), file("gate.md"));
    (code, text, junit, markdown)
}

#[test]
fn an_equal_version_passes() {
    let (code, text, junit, markdown) = gate(&against(&equal()), &[]);
    println!("{text}\n{junit}\n{markdown}");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("gate: passed: new against old"), "{text}");
    assert!(text.contains("server: vLLM 0.31.0 → vLLM 0.32.0"), "{text}");
    assert!(text.contains("False discovery rate 5 %"), "{text}");
    assert!(text.lines().count() <= 24, "one screen: {text}");
    // The TTFT of one run may stay inconclusive.
    assert!(
        junit.contains(r#"tests="6""#) && junit.contains(r#"failures="0" errors="0""#),
        "{junit}"
    );
    assert!(
        junit.contains(r#"<testsuite name="chat_throughput""#),
        "{junit}"
    );
    assert!(
        junit.contains(r#"<testcase name="tok_s" classname="100 c=8""#),
        "{junit}"
    );
    assert!(
        markdown.starts_with("### ✅ servemark gate: passed"),
        "{markdown}"
    );
    assert!(markdown.contains("**simulated**"), "{markdown}");
}

#[test]
fn a_slower_version_fails_and_everything_says_why() {
    let (code, text, junit, markdown) = gate(&against(&slower()), &[]);
    println!("{text}\n{junit}\n{markdown}");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.starts_with("gate: REGRESSED"), "{text}");
    assert!(
        text.contains("chat_throughput/100 c=8 output tok/s: "),
        "{text}"
    );
    assert!(text.contains("allowed 3 %"), "{text}");
    assert!(junit.contains(r#"failures="5" errors="0""#), "{junit}");
    assert!(
        markdown.contains("### ❌") && markdown.contains("**Regressed**"),
        "{markdown}"
    );
    // More than it became slower is allowed.
    let (code, text, ..) = gate(&against(&slower()), &["--max-regression", "tok_s=30%"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("0 regressed"), "{text}");
}

#[test]
fn an_inconclusive_gate_is_neither_passed_nor_regressed() {
    let no_success = || {
        let mut record = failing(equal(), 40);
        (record.summary, record.windows) = (None, Vec::new());
        record
    };
    for (latest, words) in [
        (bound(equal()), "new: client-bound: its threads were busy"),
        (
            failing(equal(), 5),
            "1.5 % of its requests failed, 0.0 % before",
        ),
        (no_success(), "new: no request succeeded"),
        (Run::new(1, "0%").record("0.31.0"), ""),
    ] {
        let results = against(&latest);
        let words = match words {
            "" => {
                results.write("new", &latest).write("old", &latest);
                "both sides are the same run"
            }
            words => words,
        };
        let (code, text, junit, markdown) = gate(&results, &[]);
        assert_eq!(code, Some(2), "{words}: {text}");
        assert!(text.starts_with("gate: COULD NOT TELL"), "{text}");
        assert!(text.contains(words), "{words}: {text}");
        assert!(junit.contains("<error message="), "{junit}");
        assert!(
            markdown.contains("### ⚠️") && markdown.contains(words),
            "{markdown}"
        );
    }
    // Few failures change no figure by much, and are said.
    let (code, text, ..) = gate(&against(&failing(equal(), 2)), &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("2 requests failed: HTTP 503"), "{text}");
}

#[test]
fn many_failures_are_a_regression_however_well_the_others_are_served() {
    let (code, text, junit, markdown) = gate(&against(&failing(equal(), 20)), &[]);
    assert_eq!(code, Some(1), "{text}");
    let words = "failed (%): 0.000 → 5.882 (+5.9 pp";
    assert!(
        text.contains(words) && markdown.contains("5.9 pp"),
        "{text}"
    );
    assert!(junit.contains(r#"<testcase name="failed""#), "{junit}");
    // Only what is asked for is gated, but that is not called passed.
    let asked = ["--max-regression", "tok_s=3%"];
    let (code, text, ..) = gate(&against(&failing(equal(), 20)), &asked);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("5.9 % of its requests failed"), "{text}");
    let asked = ["--max-regression", "failed=10%"];
    let (code, text, ..) = gate(&against(&equal()), &asked);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_certain_regression_stays_one_and_an_uncertain_one_is_dropped() {
    let (code, text, ..) = gate(&against(&bound(slower())), &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("regressed, if it holds: tok_s, rps"),
        "{text}"
    );
    let results = against(&slower());
    let other = |seed| Run {
        concurrency: 2,
        ..Run::new(seed, "0%")
    };
    results.write("old", &other(3).record("0.31.0"));
    let (code, text, junit, _) = gate(&results, &[]);
    assert_eq!(
        code,
        Some(1),
        "a point is missing, another regressed: {text}"
    );
    assert!(text.contains("100 c=2: new did not measure it"), "{text}");
    assert!(
        junit.contains(r#"<testcase name="all figures" classname="100 c=2""#),
        "{junit}"
    );
    results.write("new", &equal());
    let (code, text, ..) = gate(&results, &[]);
    assert_eq!(code, Some(2), "{text}");
    results.write("new", &bound(other(4).record("0.32.0")));
    results.write("new", &slower());
    let (code, text, ..) = gate(&results, &[]);
    assert_eq!(code, Some(1), "one is bound, the other regressed: {text}");
}

#[test]
fn a_figure_asked_for_must_be_measurable_and_strict_wants_all() {
    let results = against(&equal());
    let (code, text, ..) = gate(&results, &["--max-regression", "tok_s=3%,e2el_p99=10%"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("E2EL P99 (ms): 320 values, 1000 are needed"),
        "{text}"
    );
    let (code, text, junit, _) = gate(&results, &["--max-regression", "tok_s=3%,goodput=3%"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(junit.contains(r#"<testcase name="goodput""#), "{junit}");
    // No interval is as narrow as that.
    let narrow = ["--max-regression", "tok_s=0.1%"];
    let (code, text, junit, _) = gate(&results, &narrow);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("leave room for a regression of up to −"),
        "{text}"
    );
    assert!(junit.contains("<skipped message="), "{junit}");
    let (code, text, junit, _) = gate(&results, &[&narrow[..], &["--strict"]].concat());
    assert_eq!(code, Some(2), "{text}");
    assert!(junit.contains(r#"errors="1""#), "{junit}");
}

#[test]
fn an_impossible_gate_is_refused_and_the_files_say_so() {
    let results = against(&equal());
    let files = ["--junit", "gate.xml", "--markdown", "gate.md"];
    let missing = results.fail(&[&["gate", "--baseline", "v9"][..], &files].concat());
    assert!(missing.contains("there is no baseline v9"), "{missing}");
    for name in ["gate.xml", "gate.md"] {
        let text = std::fs::read_to_string(results.path().join(name)).expect("written");
        assert!(text.contains("there is no baseline v9"), "{text}");
    }
    let mut other = equal();
    other.simulated = None;
    results.write("new", &other);
    let refused = results.fail(&GATE);
    assert!(
        refused.contains("simulated before and real after"),
        "{refused}"
    );
}
