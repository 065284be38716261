//! The shipped benches as a user runs them, against engines on real sockets.

mod cargo_bench;
mod engines;

use std::fs;

use cargo_bench::CargoBench;
use engines::{engine, faults, wait_for_successes};
use servemark::RunRecord;
use servemark::internals::engine::{Engine, Slowdown};
use servemark::internals::metrics::Summary;

/// Short, but long enough for some windows.
const SHORT: [&str; 4] = ["--warm-up-time", "0.2", "--measurement-time", "1"];

fn endpoints(engines: &[&Engine]) -> String {
    let urls = engines.iter().flat_map(|e| e.urls());
    urls.map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[test]
fn listing_names_the_benchmarks_and_boots_nothing() {
    let ran = CargoBench::new("chat_throughput").run(&["--list"]);
    assert!(ran.succeeded, "{}", ran.text);
    for key in ["5", "25", "50", "100", "500", "1k", "2k", "4k"] {
        for metric in ["output_tok_s", "rps"] {
            let id = format!("chat_throughput/{key}/{metric}/c=32: benchmark");
            assert!(ran.text.contains(&id), "{id} is missing:\n{}", ran.text);
        }
    }
    assert!(!ran.text.contains("endpoint"), "{}", ran.text);
}

#[test]
fn a_run_reports_rates_everywhere_and_says_that_it_is_simulated() {
    let mut bench = CargoBench::new("chat_throughput");
    bench
        .env("SERVEMARK_MAX_NEW_TOKENS", "16")
        .env("SERVEMARK_METRICS", "output_tok_s,rps,ttft,tpot,e2el");
    let filter = "chat_throughput/25/.*/c=8$";
    let ran = bench.run(&[&[filter][..], &SHORT].concat());
    assert!(ran.succeeded, "{}", ran.text);
    assert!(
        ran.text.contains("[1/1] chat_throughput/25 c=8"),
        "{}",
        ran.text
    );
    for (metric, unit) in [
        ("output_tok_s", " tok/s "),
        ("rps", " req/s "),
        ("ttft", " ms "),
        ("tpot", " ms/tok "),
        ("e2el", " ms "),
    ] {
        let id = format!("chat_throughput/25/{metric}/c=8\n");
        let of = ran.text.split_once(&id).expect("the benchmark's lines").1;
        let lines: String = of.lines().take(2).collect();
        assert!(lines.contains(unit), "{metric}: {lines}");
    }
    assert!(ran.text.contains("SIMULATED"), "{}", ran.text);
    assert!(ran.text.contains("**simulated**"), "{}", ran.text);

    let csv = ran.csv();
    assert!(
        csv.starts_with("Number of Concurrent Requests,P50 Latency (ms),"),
        "{csv}"
    );
    assert!(
        csv.lines().nth(1).is_some_and(|l| l.starts_with("8,")
            && (l.contains(",simulated (sim-small),kept up,")
                || l.contains(",simulated (sim-small),client-bound,"))),
        "{csv}"
    );

    let record = ran.record();
    assert_eq!(record["simulated"], "sim-small");
    let endpoints = record["summary"]["endpoints"]
        .as_array()
        .expect("endpoints");
    let shares: Vec<_> = endpoints
        .iter()
        .map(|e| e["requests"].as_u64().expect("a count"))
        .collect();
    // Requests are sent in turn; requests at the ends of windows may lie on either side.
    assert!(
        shares.len() == 2 && shares[0].abs_diff(shares[1]) <= 8,
        "{shares:?}"
    );
    assert_eq!(record["summary"]["tokens"]["by_tokenizer"], 0);
    let outputs = record["requests"]["output_tokens"]
        .as_array()
        .expect("a column");
    assert!(
        outputs.iter().all(|t| t == 16),
        "ignore_eos and min_tokens hold the length: {outputs:?}"
    );

    for (group, axis) in [
        ("output_tok_s", "Throughput (tok/s)"),
        ("rps", "Throughput (req/s)"),
    ] {
        let report = bench
            .results()
            .join(format!("chat_throughput_25_{group}/c=8/report"));
        let svg = fs::read_to_string(report.join("pdf.svg")).expect("Criterion's plot");
        assert!(
            svg.contains(axis) && !svg.contains("Average"),
            "{group}: axis titles"
        );
        let page = fs::read_to_string(report.join("index.html")).expect("Criterion's page");
        assert!(
            !page.contains("time per\n") && page.contains("throughput"),
            "{group}: words"
        );
    }

    let timeline = record["server_timeline"].as_array().expect("a timeline");
    let readings = |endpoint: &serde_json::Value| endpoint.as_array().map_or(0, Vec::len);
    assert!(
        timeline.len() == 2 && timeline.iter().all(|e| readings(e) > 1),
        "{timeline:?}"
    );
    for (page, words) in [
        ("report/index.html", "../servemark/index.html"),
        ("servemark/index.html", "../report/index.html"),
        ("servemark/index.html", "pages/chat_throughput/25/c=8.html"),
        (
            "servemark/pages/chat_throughput/25/c=8.html",
            "running, endpoint 1",
        ),
    ] {
        let html = fs::read_to_string(bench.results().join(page)).expect("a page");
        assert!(html.contains(words), "{page}: {words}");
    }
}

#[test]
fn a_slower_version_is_a_regression_of_every_metric() {
    let mut bench = CargoBench::one_point();
    bench.env("SERVEMARK_METRICS", "output_tok_s,rps,ttft,tpot,e2el");
    let before = engine(|_| {});
    bench.env("SERVEMARK_MODEL_ENDPOINTS", &endpoints(&[&before]));
    let saved = bench.run(&[&["--save-baseline", "v1"][..], &SHORT].concat());
    assert!(saved.succeeded, "{}", saved.text);

    let after = engine(|options| options.slowdown = Slowdown::uniform(2.0));
    bench.env("SERVEMARK_MODEL_ENDPOINTS", &endpoints(&[&after]));
    let compared = bench.run(&[&["--baseline", "v1"][..], &SHORT].concat());
    assert!(compared.succeeded, "{}", compared.text);
    assert_eq!(
        compared.text.matches("Performance has regressed").count(),
        5,
        "{}",
        compared.text
    );
    let overview = bench.results().join("servemark/index.html");
    let overview = fs::read_to_string(overview).expect("the report");
    assert!(overview.contains("Against <b>v1</b>: "), "{overview}");

    bench.env("SERVEMARK_MODEL_ENDPOINTS", &endpoints(&[&before]));
    let missing = bench.run(&[&["--baseline", "v0"][..], &SHORT].concat());
    assert!(
        !missing.succeeded && missing.text.contains("v0"),
        "{}",
        missing.text
    );
}

#[test]
fn random_prompts_have_their_exact_length_as_the_server_counts_it() {
    let ran = CargoBench::new("pretrained_throughput")
        .env("SERVEMARK_RANDOM_PROMPT_LENGTH", "123")
        .env("SERVEMARK_MAX_NEW_TOKENS", "8")
        .env("SERVEMARK_CONCURRENT_LEVELS", "4")
        .env("SERVEMARK_LOAD_SHAPE", "wave")
        .env("SERVEMARK_SEED", "7")
        .run(&SHORT);
    assert!(ran.succeeded, "{}", ran.text);
    assert!(ran.text.contains("seed      7"), "{}", ran.text);
    let record = ran.record();
    assert_eq!(record["prompt"], "random-123");
    let inputs = record["requests"]["input_tokens"]
        .as_array()
        .expect("a column");
    assert!(
        inputs.len() >= 4 && inputs.iter().all(|t| t == 123),
        "{inputs:?}"
    );
    for window in record["windows"].as_array().expect("windows") {
        let rounds = window["iterations"].as_u64().expect("rounds");
        assert_eq!(window["requests"], 4 * rounds, "a wave's rounds are whole");
    }
}

#[test]
fn without_streaming_there_is_no_ttft_and_all_else_holds() {
    let ran = CargoBench::one_point()
        .env("SERVEMARK_STREAM", "false")
        .env("SERVEMARK_METRICS", "output_tok_s,ttft")
        .run(&SHORT);
    assert!(ran.succeeded, "{}", ran.text);
    assert!(ran.text.contains("no benchmark of ttft"), "{}", ran.text);
    let record = ran.record();
    assert!(record["summary"]["ttft_ms"].is_null());
    assert!(
        record["summary"]["output_tok_s"]
            .as_f64()
            .is_some_and(|v| v > 0.0)
    );
}

#[test]
fn some_failures_are_counted_by_cause_and_the_run_goes_on() {
    let flaky = faults("http_503=0.1,cut=0.1,malformed_sse=0.1,reset=0.1");
    let ran = CargoBench::one_point()
        .env("SERVEMARK_MODEL_ENDPOINTS", &endpoints(&[&flaky]))
        .env("SERVEMARK_CONCURRENT_LEVELS", "8")
        .run(&["--warm-up-time", "0.5", "--measurement-time", "4"]);
    assert!(ran.succeeded, "{}", ran.text);
    for cause in ["HTTP 503", "stream cut short", "malformed response"] {
        assert!(
            ran.text.contains(cause),
            "{cause} is missing:\n{}",
            ran.text
        );
    }
    let record = ran.record();
    let statuses = record["requests"]["status"].as_array().expect("a column");
    let ok = statuses.iter().filter(|s| *s == "ok").count();
    assert_eq!(record["summary"]["completed"], ok);
    assert!(ok < statuses.len());
}

#[test]
fn usage_that_the_server_keeps_to_itself_is_counted_by_the_tokenizer() {
    let silent = faults("no_usage=1");
    let ran = CargoBench::one_point()
        .env("SERVEMARK_MODEL_ENDPOINTS", &endpoints(&[&silent]))
        .run(&SHORT);
    assert!(ran.succeeded, "{}", ran.text);
    let tokens = &ran.record()["summary"]["tokens"];
    assert_eq!(tokens["by_server"], 0);
    assert!(
        tokens["by_tokenizer"].as_u64().is_some_and(|n| n > 0),
        "{tokens}"
    );
    assert!(ran.csv().contains(",tokenizer,"), "{}", ran.csv());
}

#[test]
fn a_point_whose_requests_all_fail_is_reported_and_fails_the_run() {
    for mode in [&["--test"][..], &SHORT] {
        let broken = faults("http_500=1");
        let ran = CargoBench::one_point()
            .env("SERVEMARK_MODEL_ENDPOINTS", &endpoints(&[&broken]))
            .run(mode);
        assert!(!ran.succeeded, "{}", ran.text);
        assert!(
            ran.text.contains("chat_throughput/25 c=4 FAILED"),
            "{}",
            ran.text
        );
        assert!(ran.text.contains("HTTP 500"), "{}", ran.text);
        assert!(!ran.text.contains("panicked"), "{}", ran.text);
    }
}

#[test]
fn a_server_that_dies_fails_the_run_and_loses_nothing_measured() {
    let engine = engine(|_| {});
    let mut bench = CargoBench::one_point();
    bench.env("SERVEMARK_MODEL_ENDPOINTS", &endpoints(&[&engine]));
    let killer = std::thread::spawn(move || wait_for_successes(&engine, 100.0));
    let ran = bench.run(&["--warm-up-time", "0.1", "--measurement-time", "60"]);
    killer.join().expect("the engine was stopped");
    assert!(!ran.succeeded, "{}", ran.text);
    assert!(ran.text.contains("ended early"), "{}", ran.text);
    assert!(ran.text.contains("connection failed"), "{}", ran.text);
    let completed = &ran.record()["summary"]["completed"];
    assert!(completed.as_u64().is_some_and(|n| n >= 50), "{completed}");
}

#[test]
fn a_time_out_is_a_separate_failure() {
    let stalling = faults("stall=1:60000");
    let ran = CargoBench::one_point()
        .env("SERVEMARK_MODEL_ENDPOINTS", &endpoints(&[&stalling]))
        .env("SERVEMARK_REQUEST_TIMEOUT", "0.5")
        .run(&["--test"]);
    assert!(
        !ran.succeeded && ran.text.contains("timed out"),
        "{}",
        ran.text
    );
    assert!(ran.text.contains("REQUEST_TIMEOUT = 0.5 s"), "{}", ran.text);
}

#[test]
fn a_safety_check_counts_in_the_latency_and_is_shown() {
    let ran = CargoBench::one_point()
        .env("SERVEMARK_SAFE_CHECK", "true")
        .env("SERVEMARK_SAFETY_BACKEND", "simulated")
        .env("SERVEMARK_SAFETY_DELAY_MS", "[100, 120]")
        .run(&SHORT);
    assert!(ran.succeeded, "{}", ran.text);
    assert!(ran.text.contains("| safety ms |"), "{}", ran.text);
    let summary = &ran.record()["summary"];
    let mean = |name: &str| summary[name]["mean"].as_f64().expect("a figure");
    // Twice 100 to 120 ms, and whatever a busy machine adds.
    assert!(mean("safety_ms") >= 200.0, "{summary}");
    assert!(mean("e2el_ms") >= 200.0 + mean("ttft_ms"), "{summary}");
}

#[test]
fn a_bench_that_cannot_run_says_where_and_how_to_fix_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("parameters.json");
    fs::write(&file, r#"{"MAX_NEW_TOKEN": 5}"#).expect("a writable directory");
    let ran = CargoBench::one_point()
        .env("SERVEMARK_CONFIG", file.to_str().expect("a path in UTF-8"))
        .run(&SHORT);
    assert!(!ran.succeeded, "{}", ran.text);
    assert!(
        ran.text.contains("parameters.json") && ran.text.contains("MAX_NEW_TOKENS"),
        "{}",
        ran.text
    );

    // Port 1 of loopback: nothing listens there.
    let ran = CargoBench::one_point()
        .env("SERVEMARK_MODEL_ENDPOINTS", "http://127.0.0.1:1")
        .env("SERVEMARK_READY_TIMEOUT", "1")
        .run(&SHORT);
    assert!(
        !ran.succeeded && ran.text.contains("http://127.0.0.1:1"),
        "{}",
        ran.text
    );
    assert!(ran.text.contains("refused"), "{}", ran.text);
}

#[test]
fn every_request_is_known_to_the_server_by_the_id_in_the_record() {
    let engine = engine(|_| {});
    let mut bench = CargoBench::one_point();
    bench.env("SERVEMARK_MODEL_ENDPOINTS", &endpoints(&[&engine]));
    let ran = bench.run(&[&["output_tok_s"][..], &SHORT].concat());
    assert!(ran.succeeded, "{}", ran.text);
    let record = RunRecord::read(&ran.record_path()).expect("a record");
    let prefix = record
        .request_id_prefix
        .expect("the configuration sets no id");
    for request in record.requests.iter() {
        let id = format!("chatcmpl-{prefix}{:x}", request.index);
        let truth = engine
            .truth(&id)
            .unwrap_or_else(|| panic!("no request {id}"));
        assert_eq!(truth.choices[0].token_ns.len(), 16);
    }

    bench.env("SERVEMARK_MODEL_HEADERS", r#"{"X-Request-Id": "mine"}"#);
    let ran = bench.run(&[&["output_tok_s"][..], &SHORT].concat());
    assert!(ran.succeeded, "{}", ran.text);
    let record = RunRecord::read(&ran.record_path()).expect("a record");
    assert_eq!(record.request_id_prefix, None);
    assert!(
        engine.truth("chatcmpl-mine").is_some(),
        "the user's own id is sent"
    );
}

#[test]
fn a_record_is_read_again_and_gives_its_own_figures() {
    let ran = CargoBench::one_point().run(&[&["output_tok_s"][..], &SHORT].concat());
    assert!(ran.succeeded, "{}", ran.text);
    let record = RunRecord::read(&ran.record_path()).expect("a record");
    let written = record.summary.as_ref().expect("figures");
    let again = Summary::of(&record.measured_windows(), 7.0, 2).expect("figures");
    assert_eq!(again.completed, written.completed);
    assert_eq!(again.tokens, written.tokens);
    // Content events are kept to the microsecond, all else exactly.
    let close = |a: f64, b: f64, tolerance: f64| (a - b).abs() <= tolerance;
    assert!(close(again.rps, written.rps, 1e-6));
    let tok_s = |summary: &Summary| summary.output_tok_s.expect("counted");
    assert!(close(tok_s(&again), tok_s(written), 1e-3));
    for (name, distribution) in [
        ("TTFT", [again.ttft_ms, written.ttft_ms]),
        ("TPOT", [again.tpot_ms, written.tpot_ms]),
        ("ITL", [again.itl_ms, written.itl_ms]),
        ("E2EL", [again.e2el_ms, written.e2el_ms]),
    ] {
        let [again, written] = distribution.map(|d| d.expect("streamed"));
        assert!(
            close(again.mean, written.mean, 2e-3),
            "{name}: {again:?} {written:?}"
        );
        assert!(
            close(again.p99, written.p99, 2e-3),
            "{name}: {again:?} {written:?}"
        );
    }
    let now_ns = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ns = now_ns.expect("after 1970").as_nanos() as u64;
    let ended_ns = record.clock_unix_ns + record.windows.last().expect("windows").end_ns;
    assert!(ended_ns <= now_ns && now_ns - ended_ns < 600_000_000_000);
}
