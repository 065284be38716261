//! `/metrics` that stops, hangs or never ends.

use super::*;

#[test]
fn metrics_that_stop_coming_are_given_up_once_and_hold_up_no_point() {
    let engine = engines::engine(|_| {});
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let gateway = Gateway::before(&engine, move |path| match path {
        "/metrics" => match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Answer::Pass,
            _ => say("403 Forbidden", &[], ""),
        },
        _ => Answer::Pass,
    });
    let ran = run(&gateway.url(), &named(MODEL));
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    let given_up = "its /metrics is not read any more: HTTP 403 Forbidden";
    assert_eq!(ran.text.matches(given_up).count(), 1, "{}", ran.text);
    let metrics = gateway
        .asked()
        .iter()
        .filter(|asked| asked.contains("/metrics"))
        .count();
    assert_eq!(metrics, 2, "before the load, and once more");
}

#[test]
fn metrics_that_hang_are_given_up_within_a_few_questions() {
    let engine = engines::engine(|_| {});
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let gateway = Gateway::before(&engine, move |path| match path {
        "/metrics" => match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Answer::Pass,
            _ => Answer::Hang,
        },
        _ => Answer::Pass,
    });
    let ran = run(&gateway.url(), &named(MODEL));
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    let given_up = "its /metrics is not read any more: no answer within 3.0 s";
    assert_eq!(ran.text.matches(given_up).count(), 1, "{}", ran.text);
    let mut asked = gateway.asked();
    asked.retain(|asked| asked.contains("/metrics"));
    assert!(asked.len() <= 8, "{:?}", gateway.asked());
    assert!(
        record(ran.here.path())
            .server_metrics
            .iter()
            .all(Option::is_none)
    );
}

#[test]
fn metrics_that_never_end_are_given_up_and_said_once() {
    let engine = engines::engine(|_| {});
    let endless = Answer::Endless("vllm:generation_tokens_total 1\n");
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let gateway = Gateway::before(&engine, move |path| match path {
        "/metrics" => match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Answer::Pass,
            _ => endless.clone(),
        },
        _ => Answer::Pass,
    });
    let begun = std::time::Instant::now();
    let ran = run(&gateway.url(), &named(MODEL));
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    let given_up = "its /metrics is not read any more: no answer within 3.0 s";
    assert_eq!(ran.text.matches(given_up).count(), 1, "{}", ran.text);
    // Three questions of 3 s in a row at most, and a second for each of the points.
    let took = begun.elapsed();
    assert!(took.as_secs() < 25, "{took:?}: {}", ran.text);
}
