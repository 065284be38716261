//! Metrics that the answers do not define.

use super::cargo_bench::CargoBench;
use super::engines::engine;
use super::{SHORT, record, url};
use servemark::internals::engine::Engine;

/// The bench of one point, whose answers have one token each.
fn one_token_answers(server: &Engine) -> CargoBench {
    let mut bench = CargoBench::one_point();
    bench
        .env("SERVEMARK_MODEL_ENDPOINTS", &url(server))
        .env("SERVEMARK_FIXED_OUTPUT_LENGTH", "false")
        .env("SERVEMARK_EXTRA_BODY", r#"{"max_tokens": 1}"#);
    bench
}

#[test]
fn an_undefined_metric_alone_is_reported_and_the_warm_up_is_not_its_result() {
    let server = engine(|_| {});
    let mut bench = one_token_answers(&server);
    let ran = bench.run(&[&["tpot"], &SHORT[..]].concat());
    assert!(!ran.succeeded, "there is no result: {}", ran.text);
    let line = "tpot is undefined for chat_throughput/25 c=4: no answer of a window had two tokens";
    assert!(ran.text.contains(line), "{}", ran.text);
    assert!(
        !ran.text.contains("panicked") && !ran.text.contains("ended early"),
        "{}",
        ran.text
    );
    assert!(
        !bench
            .results()
            .join("chat_throughput_25_tpot/c=4/new")
            .exists()
    );
    // The load ran once all the same: warm-up, then ten windows.
    let record = record(bench.results(), 4, "new");
    assert_eq!(record.windows.len(), 10);
    let began = record.requests.iter().map(|request| request.index).min();
    assert!(
        began > Some(0),
        "the first requests were the warm-up's: {began:?}"
    );
    let summary = record.summary.expect("figures");
    assert!(summary.tpot_ms.is_none() && summary.rps > 0.0);
}

#[test]
fn the_other_metrics_of_a_point_do_not_depend_on_one_that_is_undefined() {
    let server = engine(|_| {});
    let mut bench = one_token_answers(&server);
    bench.env("SERVEMARK_METRICS", "tpot,rps,ttft");
    for (filter, others) in [("25/", &["rps", "ttft"][..]), ("tpot|ttft", &["ttft"])] {
        let ran = bench.run(&[&[filter], &SHORT[..]].concat());
        assert!(ran.succeeded, "{filter}: {}", ran.text);
        assert!(
            ran.text
                .contains("tpot is undefined for chat_throughput/25 c=4"),
            "{}",
            ran.text
        );
        for metric in others {
            let sample = format!("chat_throughput_25_{metric}/c=4/new/sample.json");
            let sample = bench.results().join(sample);
            assert!(sample.exists(), "{metric}: {}", ran.text);
            std::fs::remove_file(sample).expect("removed");
        }
        assert!(
            !bench
                .results()
                .join("chat_throughput_25_tpot/c=4/new")
                .exists()
        );
        assert_eq!(record(bench.results(), 4, "new").windows.len(), 10);
    }
}
