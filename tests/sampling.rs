//! Several runs of a point, runs that stop when sure, and two deployments in turns, as a user starts them.

mod cargo_bench;
mod records;

use std::sync::Arc;

use cargo_bench::{CargoBench, Ran};
use records::servemark;
use serde_json::Value;
use servemark::RunRecord;
use servemark::internals::engine::{Engine, EngineOptions, Preset, Slowdown};
use servemark::internals::load::Window;
use servemark::internals::prompt::shipped_tokenizer;

const SHORT: [&str; 4] = ["--warm-up-time", "0.2", "--measurement-time", "1"];

/// A server whose steps take `factor` as long.
fn engine(factor: f64) -> Engine {
    let preset = Preset::named("sim-small").expect("a shipped preset");
    let tokenizer = Arc::new(shipped_tokenizer().expect("a shipped tokenizer"));
    Engine::start(EngineOptions {
        slowdown: Slowdown::uniform(factor),
        ..EngineOptions::new(preset, tokenizer)
    })
    .expect("an engine")
}

fn succeeded(ran: Ran) -> Ran {
    assert!(ran.succeeded, "{}", ran.text);
    ran
}

#[test]
fn runs_of_a_point_are_kept_apart_and_reported_together() {
    let mut bench = CargoBench::one_point();
    bench
        .env("SERVEMARK_RUNS", "3")
        .env("SERVEMARK_METRICS", "output_tok_s,rps")
        .env("SERVEMARK_SLO", r#"{"ttft": 10000}"#);
    let ran = succeeded(bench.run(&SHORT));
    assert!(ran.text.contains("· run 3 ·"), "{}", ran.text);
    let record = RunRecord::read(&ran.record_path()).expect("a record");
    let runs = record.runs();
    assert_eq!(runs.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 10]);
    for run in &runs {
        assert!(run.iter().all(|w| w.rounds == runs[0][0].rounds));
    }
    let summary = record.summary.expect("figures");
    let requests: usize = runs.iter().flatten().map(|w| w.requests.len()).sum();
    assert_eq!(summary.completed, requests);
    // Every request meets so loose an objective.
    let goodput = summary.goodput.expect("an objective");
    assert!((goodput / summary.rps - 1.0).abs() < 1e-9, "{goodput}");
    let mut prompts: Vec<u64> = runs
        .iter()
        .flatten()
        .flat_map(|w| w.requests.iter())
        .map(|r| r.index)
        .collect();
    prompts.sort_unstable();
    prompts.dedup();
    assert_eq!(prompts.len(), requests, "no run repeats another's prompts");
}

#[test]
fn sampling_goes_on_until_sure_or_until_the_budget_ends() {
    let mut bench = CargoBench::one_point();
    bench
        .env("SERVEMARK_METRICS", "output_tok_s")
        .env("SERVEMARK_PRECISION", "60%");
    let sure = succeeded(bench.run(&SHORT));
    assert!(
        sure.text.contains("PRECISION of 60 % was reached"),
        "{}",
        sure.text
    );
    assert_eq!(sure.record()["windows"].as_array().map(Vec::len), Some(10));
    bench
        .env("SERVEMARK_PRECISION", "0.001%")
        .env("SERVEMARK_PRECISION_BUDGET", "3");
    let unsure = succeeded(bench.run(&SHORT));
    let said = "PRECISION of 0.001 % was not reached within PRECISION_BUDGET";
    assert!(unsure.text.contains(said), "{}", unsure.text);
    let record = RunRecord::read(&unsure.record_path()).expect("a record");
    let windows = &record.runs()[0];
    assert!(windows.len() > 10, "{} windows", windows.len());
    let sampled_ns: u64 = windows.iter().map(|w| w.wall_ns()).sum();
    assert!(sampled_ns >= 3_000_000_000, "{sampled_ns} ns");
}

#[test]
fn the_slower_of_two_deployments_in_turns_is_found_out() {
    let (old, new) = (engine(1.0), engine(1.3));
    let sides = format!("old={},new={}", old.urls()[0], new.urls()[0]);
    let mut bench = CargoBench::one_point();
    bench.env("SERVEMARK_AB", &sides);
    let ran = succeeded(bench.run(&["--warm-up-time", "0.1", "--measurement-time", "2"]));
    assert!(ran.text.contains("old and new in turns"), "{}", ran.text);
    assert!(
        ran.text.contains("# new against old — **simulated**"),
        "{}",
        ran.text
    );
    // The median, which a neighbour that takes the cores for some windows does not move.
    let latency = ran
        .text
        .lines()
        .find(|line| line.contains("| E2EL P50 (ms) "));
    assert!(
        latency.is_some_and(|line| line.contains("regressed")),
        "{}",
        ran.text
    );
    let point = ran.results().join("servemark/chat_throughput/25/c=4");
    let read = |name: &str| -> Value {
        let text = std::fs::read(point.join(format!("{name}.json"))).expect("a record");
        serde_json::from_slice(&text).expect("JSON")
    };
    let (before, after) = (read("old"), read("new"));
    assert!(before["interleaved"].is_string());
    assert_eq!(before["interleaved"], after["interleaved"]);
    // Each pair of windows follows the one before it, whichever side came first.
    let ends = |record: &Value| -> Vec<u64> {
        let windows = record["windows"].as_array().expect("windows").iter();
        windows
            .map(|w| w["end_ns"].as_u64().expect("a time"))
            .collect()
    };
    let (before_ends, after_ends) = (ends(&before), ends(&after));
    for pair in 1..before_ends.len() {
        let last = before_ends[pair - 1].max(after_ends[pair - 1]);
        assert!(last < before_ends[pair].min(after_ends[pair]));
    }
    // The endpoint of each record is its side's own.
    let url = |record: &Value| record["endpoints"][0]["url"].as_str().map(str::to_owned);
    assert_eq!(url(&before).as_deref(), Some(old.urls()[0].as_str()));
    let gate = |baseline: &str, candidate: &str| {
        let sides = ["gate", "--baseline", baseline, "--candidate", candidate];
        let figure = ["--max-regression", "e2el_p50=5%"];
        servemark(ran.results(), &[&sides[..], &figure].concat())
    };
    // Neighbours that take the client's cores make any answer doubtful, which the gate then says.
    let answer = |sure, code, text: &str| {
        let doubted = code == Some(2) && text.contains("client-bound");
        assert!(code == Some(sure) || doubted, "{code:?}: {text}");
    };
    let (code, text) = gate("old", "new");
    answer(1, code, &text);
    // Seen from the slower one, the other is an improvement.
    let (code, text) = gate("new", "old");
    answer(0, code, &text);
}

/// Holds that the requests were to be sent at a constant rate, but for those that ended in another window.
fn assert_arrivals(window: &Window, rate: f64) {
    assert!(window.requests.iter().all(|request| request.is_scheduled));
    let mut arrivals = Vec::from_iter(window.requests.iter().map(|request| request.intended_ns));
    arrivals.sort_unstable();
    for pair in arrivals.windows(2) {
        let gaps = (pair[1] - pair[0]) as f64 * rate * 1e-9;
        // Records have microseconds.
        assert!(
            gaps > 0.5 && (gaps - gaps.round()).abs() < 1e-3,
            "{arrivals:?}"
        );
    }
}

#[test]
fn two_deployments_in_turns_get_the_rates_of_an_open_loop() {
    let (old, new) = (engine(1.0), engine(1.5));
    let mut bench = CargoBench::one_point();
    bench
        .env(
            "SERVEMARK_AB",
            &format!("old={},new={}", old.urls()[0], new.urls()[0]),
        )
        .env("SERVEMARK_LOAD_SHAPE", "open")
        .env("SERVEMARK_ARRIVALS", "constant")
        .env("SERVEMARK_REQUEST_RATES", "20,40");
    let ran = succeeded(bench.run(&["--warm-up-time", "0.1", "--measurement-time", "4"]));
    for rate in [20.0, 40.0] {
        let point = format!("servemark/chat_throughput/25/rate={rate}");
        let [before, after] = ["old", "new"].map(|side| {
            let path = ran.results().join(format!("{point}/{side}.json"));
            RunRecord::read(&path).expect("a record")
        });
        assert!(before.interleaved.is_some() && before.interleaved == after.interleaved);
        // Neighbours that take the client's cores make any figure doubtful, which the records then say.
        let is_doubted = |record: &RunRecord| {
            let check = record.self_check.as_ref();
            check.is_some_and(|check| !check.client_bound.is_empty())
        };
        let is_sure = !is_doubted(&before) && !is_doubted(&after);
        for record in [&before, &after] {
            assert_eq!(record.level.to_string(), format!("rate={rate}"));
            assert_eq!(record.windows.len(), 10);
            for window in record.runs().iter().flatten() {
                assert_arrivals(window, rate);
            }
            let summary = record.summary.as_ref().expect("figures");
            assert_eq!(summary.failed(), 0, "{}", ran.text);
            let realised = summary.rps / rate;
            assert!(
                !is_sure || (realised - 1.0).abs() < 0.1,
                "{} req/s: {}",
                summary.rps,
                ran.text
            );
        }
        let verdicts = ran.text.split(&format!("| 25 rate={rate} ")).nth(1);
        let mut verdicts = verdicts.expect("the verdicts of the point").lines();
        let latency = verdicts.find(|line| line.contains("| E2EL P50 (ms) "));
        let latency = latency.expect("a verdict");
        assert!(!is_sure || latency.contains("regressed"), "{}", ran.text);
    }
}

#[test]
fn a_deployment_that_fails_ends_the_turns_and_not_in_silence() {
    let old = engine(1.0);
    let preset = Preset::named("sim-small").expect("a shipped preset");
    let tokenizer = Arc::new(shipped_tokenizer().expect("a shipped tokenizer"));
    let new = Engine::start(EngineOptions {
        faults: "http_503=1".parse().expect("faults"),
        ..EngineOptions::new(preset, tokenizer)
    })
    .expect("an engine");
    let mut bench = CargoBench::one_point();
    bench.env(
        "SERVEMARK_AB",
        &format!("old={},new={}", old.urls()[0], new.urls()[0]),
    );
    let ran = bench.run(&SHORT);
    assert!(!ran.succeeded, "{}", ran.text);
    let said = "FAILED: no request of a window succeeded";
    assert!(ran.text.contains(said), "{}", ran.text);
    assert!(ran.text.contains("× HTTP 503"), "{}", ran.text);
}

#[test]
fn two_deployments_must_be_two_and_alike() {
    let mut bench = CargoBench::one_point();
    bench.env("SERVEMARK_AB", "old=http://127.0.0.1:1");
    let ran = bench.run(&SHORT);
    assert!(!ran.succeeded);
    assert!(ran.text.contains("SERVEMARK_AB"), "{}", ran.text);
    assert!(
        ran.text.contains("old=http://a:8000,new=http://b:8000"),
        "{}",
        ran.text
    );
}
