//! `servemark report`: what its pages have, and how Chromium shows them.

#[path = "../browser/mod.rs"]
mod browser;
mod page;
#[path = "../records/mod.rs"]
mod records;

use std::fs;
use std::time::Instant;

use browser::Browser;
use page::{check, pages};
use records::{Results, Run};
use serde_json::json;
use servemark::RunRecord;

/// A record as the benches write it: with a self-check, a timeline of the servers, failures and an SLO.
fn record(seed: u64, slowdown: &'static str, concurrency: usize, version: &str) -> RunRecord {
    let mut record = Run {
        concurrency,
        windows: 12,
        ..Run::new(seed, slowdown)
    }
    .record(version);
    let samples = (0..8).map(|at| {
        json!({
            "at_ns": at * 250_000_000_u64, "running": 4.0, "waiting": at, "kv_cache_usage": 0.1 * at as f64,
            "prefix_cache_queries": 100 * at, "prefix_cache_hits": 30 * at,
        })
    });
    record.server_timeline = vec![
        samples
            .map(|sample| serde_json::from_value(sample).expect("a sample"))
            .collect(),
    ];
    record.self_check = serde_json::from_value(json!({
        "busy_share": 0.2, "starved_share": 0.01, "loop_lag_ms": {"p99": 1.2, "max": 3.0},
        "send_lag_ms": {"p99": 0.4, "max": 2.0}, "client_bound": [],
    }))
    .expect("a self-check");
    record.config["SLO"] = json!({"ttft": 50.0, "tpot": 8.0});
    record.config["NUM_GPU"] = json!(2);
    record.summary.as_mut().expect("a summary").goodput = Some(12.5);
    record.clock_unix_ns = 1_790_000_000_000_000_000;
    record
}

/// A run of three levels and a failed point, beside two versions of before; in every name something that
/// must be escaped.
fn results() -> Results {
    const NASTY: &str = "<script>alert('\"&</script>";
    let results = Results::new();
    for (name, version, slowdown, seed) in [
        ("vllm-0.30.0", "0.30.0", "4%", 10),
        ("vllm-0.31.0", "0.31.0", "0%", 20),
        ("new", "0.32.0", "12%", 30),
    ] {
        for (at, level) in [1, 8, 32].into_iter().enumerate() {
            let mut record = record(seed + at as u64, slowdown, level, version);
            record.ended_unix_s = 1.79e9 + 1e5 * seed as f64;
            record.endpoints[0].model = Some(NASTY.to_owned());
            results.write(name, &record);
        }
    }
    results.write("new", &failed(NASTY));
    results
}

/// A point without any success.
fn failed(model: &str) -> RunRecord {
    let mut record = record(40, "0%", 64, "0.32.0");
    record.ended_unix_s = 1.79e9 + 3e6 + 60.0;
    record.endpoints[0].model = Some(model.to_owned());
    record.summary = None;
    record.windows.clear();
    record.requests = Default::default();
    record.failures = serde_json::from_value(json!([
        {"cause": "HTTP 503", "count": 20, "first_message": "<b>busy</b> & tired"},
    ]))
    .expect("failures");
    record
}

#[test]
fn pages_need_nothing_but_themselves_and_have_all_that_they_promise() {
    let results = results();
    let text = results.succeed(&["report"]);
    let directory = results.path().join("servemark");
    let overview = directory.join("index.html");
    assert!(text.contains(&overview.display().to_string()), "{text}");
    let pages = pages(&directory);
    assert_eq!(
        pages.len(),
        7,
        "overview, comparison, trend, four points: {pages:?}"
    );
    pages.iter().for_each(|page| check(page));
    let html = fs::read_to_string(overview).expect("the overview");
    for words in [
        "vLLM 0.32.0",
        "kept up at every point",
        "Best point: most output",
        "The same per GPU",
        "Most goodput within the SLO",
        "Against <b>vllm-0.31.0</b>: ",
        "regressed",
        // One request at a time: 48 requests.
        "Throughput against TTFT P50 (Pareto curve)",
        "n/a (384 of 1,000)",
        "within the SLO of 50.00 ms",
        "&lt;script&gt;alert('&quot;&amp;&lt;/script&gt;",
    ] {
        assert!(html.contains(words), "{words}");
    }
    assert_eq!(html.matches("<svg class=\"plot\"").count(), 7);
    let point = directory.join("pages/chat_throughput/100/c=8.html");
    let html = fs::read_to_string(point).expect("a point's page");
    assert_eq!(html.matches("<svg class=\"plot\"").count(), 8 + 5 + 2 + 1);
    assert!(html.contains("No request failed."));
    for mark in ["n/a (384 of 1,000)", "n/a (384 of 10,000)"] {
        let cell = format!("<td>{mark}</td>");
        assert!(html.contains(&cell), "{mark}");
    }
    for head in ["P90", "P95", "P99", "P99.9"] {
        assert!(html.contains(&format!(">{head}</th>")), "{head}");
    }
    let failed = directory.join("pages/chat_throughput/100/c=64.html");
    let html = fs::read_to_string(failed).expect("a point's page");
    assert!(html.contains("No request succeeded") && html.contains("HTTP 503"));
}

#[test]
fn the_folder_and_the_file_can_lie_anywhere() {
    let results = results();
    let elsewhere = results.path().join("public/bench");
    results.succeed(&[
        "report",
        "--output",
        "public/bench",
        "--baseline",
        "vllm-0.30.0",
    ]);
    let written = pages(&elsewhere);
    assert_eq!(written.len(), 7, "{written:?}");
    written.iter().for_each(|page| check(page));
    let html = fs::read_to_string(elsewhere.join("index.html")).expect("the overview");
    assert!(html.contains("Against <b>vllm-0.30.0</b>: "));
    assert!(
        !html.contains("Criterion's own pages"),
        "they are not in the folder"
    );
    results.succeed(&["report", "--single-file", "one.html"]);
    let file = results.path().join("one.html");
    check(&file);
    let html = fs::read_to_string(file).expect("the file");
    assert!(html.contains("id=\"comparison\"") && html.contains("id=\"trend\""));
    let missing = results.fail(&["report", "--baseline", "v9"]);
    assert!(missing.contains("there is no baseline v9"), "{missing}");
    let nothing = Results::new().fail(&["report"]);
    assert!(nothing.contains("measure first"), "{nothing}");
}

#[test]
fn criterions_page_and_ours_link_to_each_other() {
    let results = results();
    let criterion = results.path().join("report/index.html");
    fs::create_dir_all(criterion.parent().expect("a directory")).expect("writable");
    fs::write(&criterion, "<html><body><h1>Criterion</h1></body></html>").expect("writable");
    results.succeed(&["report"]);
    let html = fs::read_to_string(&criterion).expect("Criterion's page");
    assert!(html.contains("href=\"../servemark/index.html\""), "{html}");
    for (page, link) in [
        ("index.html", "../report/index.html"),
        ("pages/comparison.html", "../../report/index.html"),
        (
            "pages/chat_throughput/100/c=8.html",
            "../../../../report/index.html",
        ),
    ] {
        let path = results.path().join("servemark").join(page);
        let html = fs::read_to_string(&path).expect("a page");
        assert!(html.contains(&format!("href=\"{link}\"")), "{page}");
        check(&path);
    }
}

#[test]
fn points_missing_from_the_last_run_are_marked_and_deleted_points_have_no_page() {
    let results = results();
    let mut older = record(50, "0%", 16, "0.32.0");
    older.ended_unix_s = 1.79e9;
    older.clock_unix_ns -= 86_400_000_000_000;
    results.write("new", &older);
    results.succeed(&["report"]);
    let page = results
        .path()
        .join("servemark/pages/chat_throughput/100/c=16.html");
    let html = fs::read_to_string(&page).expect("the older point's page");
    assert!(html.contains(">older run<"));
    let other = results
        .path()
        .join("servemark/pages/chat_throughput/100/c=8.html");
    assert!(
        !fs::read_to_string(other)
            .expect("a page")
            .contains(">older run<")
    );
    let record = results.path().join(older.point().record_path("new"));
    fs::remove_file(record).expect("removed");
    results.succeed(&["report"]);
    assert!(!page.exists());
    let unreadable = results.path().join(older.point().record_path("new"));
    fs::write(unreadable, r#"{"schema_version": 1}"#).expect("written");
    results.succeed(&["report"]);
    let html = fs::read_to_string(results.path().join("servemark/index.html")).expect("a page");
    assert!(html.contains("left out: ") && html.contains("schema_version is 1"));
}

#[test]
fn unmeasured_points_are_reported() {
    let results = Results::new();
    let mut one = record(1, "0%", 1, "0.32.0");
    let requests = one.requests.iter().take(1).map(|mut request| {
        if let servemark::internals::client::Outcome::Completed(completion) = &mut request.outcome {
            completion.content_ns = Default::default();
        }
        request
    });
    let requests: Vec<_> = requests.collect();
    one.windows.truncate(1);
    one.windows[0].requests = 1;
    one.requests = requests.into_iter().collect();
    one.server_timeline.clear();
    one.self_check = None;
    one.config["STREAM"] = json!(false);
    one.config["SLO"] = json!(null);
    one.config["NUM_GPU"] = json!(null);
    let summary = one.summary.as_mut().expect("a summary");
    (
        summary.ttft_ms,
        summary.tpot_ms,
        summary.itl_ms,
        summary.goodput,
    ) = (None, None, None, None);
    results.write("new", &one);
    results.succeed(&["report"]);
    let directory = results.path().join("servemark");
    let pages = pages(&directory);
    assert_eq!(pages.len(), 2, "{pages:?}");
    pages.iter().for_each(|page| check(page));
    let html = fs::read_to_string(directory.join("pages/chat_throughput/100/c=1.html"));
    let html = html.expect("the point's page");
    for words in [
        "n/a: responses were not streamed (STREAM: false)",
        "n/a: NUM_GPU is not set",
        "n/a: no SLO is set",
        "n/a: 1 of 5 windows",
        "n/a: it was not checked",
        "did not have this figure",
    ] {
        assert!(html.contains(words), "{words}");
    }
}

#[test]
fn many_requests_take_little_room_and_time() {
    large_report(6, 2_000);
}

#[test]
#[ignore = "the whole size, for a release build: cargo test --release --test report -- --ignored --nocapture"]
fn twenty_points_of_ten_thousand_requests() {
    let seconds = large_report(20, 10_000);
    assert!(seconds < 5.0, "{seconds} s");
}

/// Writes the pages of `points` points of `requests` requests each, beside a baseline of as many; the
/// seconds that it took.
fn large_report(points: usize, requests: usize) -> f64 {
    let results = Results::new();
    for (name, seed) in [("vllm-0.31.0", 1), ("new", 2)] {
        for point in 0..points {
            let level = [1, 4, 16, 64][point % 4];
            let rounds = requests / (level * 20);
            let mut record = Run {
                concurrency: level,
                windows: 20,
                ..Run::new(seed, "0%")
            }
            .record_of(rounds as u64, "0.32.0");
            record.prompt = format!("{}", 100 + point / 4);
            results.write(name, &record);
        }
    }
    let begin = Instant::now();
    results.succeed(&["report"]);
    let seconds = begin.elapsed().as_secs_f64();
    let written = pages(&results.path().join("servemark"));
    assert_eq!(written.len(), points + 2);
    let sizes = written
        .iter()
        .map(|page| fs::metadata(page).expect("a page").len());
    let bytes: u64 = sizes.sum();
    println!("{points} points × {requests} requests and a baseline: {seconds:.2} s, {bytes} bytes");
    assert!(bytes < 250_000 * points as u64, "{bytes}");
    assert!(seconds < 60.0, "{seconds} s");
    seconds
}

#[test]
fn chromium_would_tell_of_a_bad_page() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let page = directory.path().join("bad.html");
    let html = "<!DOCTYPE html><img src=\"http://example.invalid/x.png\"><script>console.error('bad')</script>\
                <div style=\"width: 700px\">wide</div>";
    fs::write(&page, html).expect("writable");
    let shown = browser.show(&page, 390);
    assert_eq!(shown.requests, ["http://example.invalid/x.png"]);
    assert!(
        shown.console.iter().any(|line| line.contains("bad")),
        "{shown:?}"
    );
    assert!(shown.width >= 700 && shown.plots == 0, "{shown:?}");
}

#[test]
fn chromium_shows_every_page_at_both_widths() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let results = results();
    results.succeed(&["report"]);
    results.succeed(&["report", "--single-file", "one.html"]);
    let directory = results.path().join("servemark");
    for page in [
        directory.join("index.html"),
        directory.join("pages/comparison.html"),
        directory.join("pages/trend.html"),
        directory.join("pages/chat_throughput/100/c=8.html"),
        directory.join("pages/chat_throughput/100/c=64.html"),
        results.path().join("one.html"),
    ] {
        let html = fs::read_to_string(&page).expect("a page");
        for width in [1280, 390] {
            let shown = browser.show(&page, width);
            let name = format!("{} at {width}", page.display());
            assert!(shown.console.is_empty(), "{name}: {:?}", shown.console);
            assert!(shown.requests.is_empty(), "{name}: {:?}", shown.requests);
            assert!(shown.width <= width, "{name}: {} px wide", shown.width);
            assert_eq!(
                shown.plots,
                html.matches("<svg class=\"plot\"").count(),
                "{name}"
            );
            assert!(shown.cut.is_empty(), "{name}: {:?}", shown.cut);
            assert!(
                shown.smallest_text >= 9.0,
                "{name}: text of {} px",
                shown.smallest_text
            );
        }
    }
}
