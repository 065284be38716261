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

/// The record of the point under this name.
fn record(bench: &CargoBench, name: &str) -> RunRecord {
    let path = format!("servemark/chat_throughput/25/c=4/{name}.json");
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
    let note = "chat_throughput/25 c=4: ranks 0, 1 ended early: its time is over";
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

#[test]
fn a_warm_up_whose_replica_freezes_ends_long_before_the_requests_time_out() {
    let tokenizer = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/tokenizer/tokenizer.json"
    );
    // With a tokenizer of its own Criterion drives the load; else the bench does, as the server must count.
    let both = [&[][..], &[("SERVEMARK_TOKENIZER_PATH", tokenizer)]].map(|variables| {
        // Some requests of the first round stand still.
        let server = engines::faults("stall=0.4:6000000");
        let mut bench = bench("6000");
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
        let record = record(&bench, "new");
        let why = "its time was over in its warm-up";
        assert_eq!(record.partial.as_deref(), Some(why), "{}", ran.text);
        let summary = record.summary.expect("figures");
        assert!(summary.completed > 0, "{}", ran.text);
    }
}
