//! A replica that freezes ends a point within its time budget, whoever drives the load: ranks, two sides in turns, and
//! the warm-up. The same for a process alone is in `replicas.rs`.
#![cfg(unix)]

mod cargo_bench;
mod engines;
mod replica;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cargo_bench::{CargoBench, Ran};
use nix::sys::signal::Signal;
use replica::{Replica, signal};
use servemark::RunRecord;
use servemark::internals::metrics::OutageKind;

/// A bench of one point whose requests time out after so many seconds.
fn bench(request_timeout: &str) -> CargoBench {
    let mut bench = CargoBench::one_point();
    bench
        .env("SERVEMARK_METRICS", "rps")
        .env("SERVEMARK_REQUEST_TIMEOUT", request_timeout)
        .env("SERVEMARK_MAX_NEW_TOKENS", "8");
    bench
}

/// Starts a process of the bench that takes so many windows, with these variables.
fn start(bench: &CargoBench, windows: &str, variables: &[(&str, &str)]) -> Child {
    let mut command = bench.command(bench.executable());
    command
        .args(["--bench", "--noplot", "--sample-size", windows])
        .args(["--warm-up-time", "0.1", "--measurement-time", "1"])
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("the bench runs")
}

/// Waits for the end of a process; checks that its point failed in time, and said so.
fn ended(bench: &CargoBench, process: Child, within: Duration) -> Ran {
    let begun = Instant::now();
    let output = process.wait_with_output().expect("it ends");
    let ran = bench.ran(&output);
    assert_eq!(output.status.code(), Some(1), "{}", ran.text);
    assert!(
        begun.elapsed() < within,
        "{:?}: {}",
        begun.elapsed(),
        ran.text
    );
    ran
}

/// The record of the point with four requests in flight under this name.
fn record(bench: &CargoBench, name: &str) -> RunRecord {
    record_at(bench, 4, name)
}

fn record_at(bench: &CargoBench, concurrency: usize, name: &str) -> RunRecord {
    let path = format!("servemark/chat_throughput/25/c={concurrency}/{name}.json");
    RunRecord::read(&bench.results().join(path)).expect("a record")
}

#[test]
fn a_point_that_ranks_share_ends_with_the_windows_before_its_replica_froze() {
    let replicas = [(); 2].map(|()| Replica::start());
    let mut bench = bench("4");
    bench.env("SERVEMARK_RANKS", "2").env(
        "SERVEMARK_MODEL_ENDPOINTS",
        &replicas.each_ref().map(|r| r.url.as_str()).join(","),
    );
    let mut ranks = ["0", "1"].map(|rank| start(&bench, "60", &[("JOB_COMPLETION_INDEX", rank)]));
    replicas[1].wait_for_more(10.0, &mut ranks[0]);
    signal(&replicas[1].child, Signal::SIGSTOP);
    // Each rank needs 122 requests, and of its two in flight each second one waits for REQUEST_TIMEOUT.
    let [first, _] = ranks.map(|rank| ended(&bench, rank, Duration::from_secs(60)));
    let note = "chat_throughput/25 c=4: ranks 0, 1: ended early: its time is over";
    assert!(first.text.contains(note), "{}", first.text);
    let record = record(&bench, "new");
    let windows = record.windows.len();
    assert!(windows > 0 && windows < 60, "{}", first.text);
    let note = format!("figures are of {windows} of 60 windows");
    assert!(first.text.contains(&note), "{note}: {}", first.text);
}

#[test]
fn two_sides_in_turns_end_with_the_pairs_before_a_replica_froze() {
    let [old, first, second] = [(); 3].map(|()| Replica::start());
    let bench = bench("8");
    let sides = format!("old={},new={},new={}", old.url, first.url, second.url);
    let mut process = start(&bench, "10", &[("SERVEMARK_AB", &sides)]);
    second.wait_for_more(10.0, &mut process);
    signal(&second.child, Signal::SIGSTOP);
    // Ten turns of the side would take two minutes: in each, some requests wait for REQUEST_TIMEOUT.
    let ran = ended(&bench, process, Duration::from_secs(80));
    assert!(
        ran.text.contains("ended early: its time is over"),
        "{}",
        ran.text
    );
    let windows = ["old", "new"].map(|side| record(&bench, side).windows.len());
    assert!(windows[0] > 0 && windows[0] < 10, "{windows:?}");
    assert_eq!(windows[0], windows[1]);
    let note = format!("figures are of {} of 10 windows", windows[0]);
    assert!(ran.text.contains(&note), "{note}: {}", ran.text);
}

/// With a tokenizer of its own Criterion drives the load; else the bench does, as the server must count.
fn own_tokenizer() -> (&'static str, &'static str) {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/tokenizer/tokenizer.json"
    );
    ("SERVEMARK_TOKENIZER_PATH", path)
}

#[test]
fn a_warm_up_whose_replica_freezes_ends_long_before_the_requests_time_out() {
    let both = [&[][..], &[own_tokenizer()]].map(|variables| {
        // Of many requests, some are answered, and all in flight stand still before a round has ended.
        let server = engines::faults("stall=0.7:6000000");
        let mut bench = bench("6000");
        bench.env("SERVEMARK_CONCURRENT_LEVELS", "32");
        bench.env("SERVEMARK_MODEL_ENDPOINTS", server.urls()[0].as_str());
        let process = start(&bench, "20", variables);
        (server, bench, process)
    });
    for (_server, bench, process) in both {
        // 30 s, and five times what the warm-up is planned to take.
        let ran = ended(&bench, process, Duration::from_secs(60));
        let note = "ended early, in its warm-up: its time is over";
        assert!(ran.text.contains(note), "{}", ran.text);
        let figures = "figures are of the warm-up";
        assert!(ran.text.contains(figures), "{}", ran.text);
        let record = record_at(&bench, 32, "new");
        let why = "its time was over in its warm-up";
        assert_eq!(record.partial.as_deref(), Some(why), "{}", ran.text);
        let summary = record.summary.expect("figures");
        assert!(summary.completed > 0, "{}", ran.text);
    }
}

#[test]
fn a_load_without_an_answer_ends_long_before_the_requests_time_out_and_names_the_endpoint() {
    // No request would end by itself in this time.
    let server = engines::faults("stall=1:6000000");
    let healthy = Replica::start();
    let url = server.urls()[0].to_string();
    let benches = [(); 4].map(|()| {
        let mut bench = bench("6000");
        bench.env("SERVEMARK_MODEL_ENDPOINTS", &url);
        bench
    });
    let [driven, alone, sides, ranks] = &benches;
    let both = format!("old={},new={url}", healthy.url);
    let rank = |rank| [("SERVEMARK_RANKS", "2"), ("JOB_COMPLETION_INDEX", rank)];
    let in_turns = [("SERVEMARK_AB", &*both), ("SERVEMARK_MODEL_ENDPOINTS", "")];
    let processes = [
        start(driven, "20", &[own_tokenizer()]),
        start(alone, "20", &[]),
        start(sides, "10", &in_turns),
        start(ranks, "10", &rank("0")),
    ];
    let second = start(ranks, "10", &rank("1"));
    let mut running = benches.iter().zip(processes);
    // 30 s, and five times what is planned.
    let mut ended = |seconds| {
        let (bench, process) = running.next().expect("a process");
        self::ended(bench, process, Duration::from_secs(seconds))
    };
    let silence = |said: &str| {
        said.lines().any(|line| {
            line.contains(&format!("endpoint {url}"))
                && line.contains(": no byte for 3")
                && line.contains("in flight; it has not answered since")
        })
    };
    let note = "no request was answered within 31.2 s (5 × the 0.2 s planned, and 30 s)";
    for bench in [driven, alone] {
        let ran = ended(60);
        assert!(ran.text.contains(note), "{}", ran.text);
        assert!(silence(&ran.text), "{}", ran.text);
        let record = record(bench, "new");
        assert!(record.summary.is_none(), "{}", ran.text);
        let [outage] = &record.outages[..] else {
            panic!("one outage: {:?}", record.outages);
        };
        assert!(outage.url.starts_with(url.trim_end_matches('/')) && !outage.recovered);
        assert_eq!(outage.kind, OutageKind::Silent { in_flight: 4 });
    }
    let ran = ended(80);
    assert!(ran.text.contains(note), "{}", ran.text);
    assert!(silence(&ran.text), "{}", ran.text);
    assert!(ran.text.contains("c=4 · new: endpoint"), "{}", ran.text);
    let ran = ended(80);
    let note = "ranks 0, 1: its time is over, 35.0 s (5 × the 1.0 s planned, and 30 s)";
    assert!(ran.text.contains(note), "{}", ran.text);
    assert!(silence(&ran.text), "{}", ran.text);
    assert_eq!(
        second.wait_with_output().expect("it ends").status.code(),
        Some(1)
    );
}
