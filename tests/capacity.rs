//! `servemark capacity` against servers whose capacity is known.

mod engines;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use servemark::internals::engine::{Engine, Preset};

/// A server that generates for eight requests at a time: a ninth waits for a whole answer.
fn eight_at_a_time() -> Engine {
    engines::engine(|options| {
        let mut preset = Preset::named("sim-small").expect("a shipped preset");
        preset.noise = Default::default();
        preset.step_time.base_us = 25_000.0;
        preset.scheduler.max_num_seqs = 8;
        options.preset = preset;
    })
}

fn capacity(here: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_servemark"));
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("SERVEMARK_")) {
        command.env_remove(key);
    }
    command
        .arg("capacity")
        .args(arguments)
        .current_dir(here)
        .env("CRITERION_HOME", here)
        .output()
        .expect("the command runs")
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes))
        .concat()
}

#[test]
fn the_capacity_of_a_server_is_found_and_kept() {
    let (here, server) = (tempfile::tempdir().expect("a directory"), eight_at_a_time());
    let url = server.urls()[0].to_string();
    let load = ["--endpoint", &url, "--prompt", "25", "--max-tokens", "16"];
    let times = ["--duration", "0.8", "--longest", "2", "--warm-up", "0.4"];
    // A request that waits takes 400 ms until its first token, another at most 75 ms.
    let slo = ["--slo", "ttft.p90=250,failed=0.05", "--most", "64"];
    let ran = capacity(here.path(), &[&load[..], &times, &slo].concat());
    let said = text(&ran);
    assert!(matches!(ran.status.code(), Some(0 | 1)), "{said}");
    assert!(
        said.contains("Capacity of 25: ") && said.contains("**simulated**"),
        "{said}"
    );

    let directory = here.path().join("servemark/capacity/25/capacity");
    let record = std::fs::read(directory.join("new.json")).expect("a record");
    let record: Value = serde_json::from_slice(&record).expect("JSON");
    let found = &record["capacity"];
    let lower = found["lower"].as_f64().expect("a number");
    let upper = found["upper"].as_f64().expect("a number");
    assert!(
        lower <= 8.0 && (8.0..=16.0).contains(&upper),
        "{found}: {said}"
    );
    assert_eq!(found["bound_by"], "TTFT P90 ≤ 250 ms", "{said}");
    let trials = record["trials"].as_array().expect("trials");
    assert!((3..=20).contains(&trials.len()), "{said}");
    for trial in trials {
        let level = trial["concurrency"].as_f64().expect("a level");
        let judgement = trial["judgement"].as_str().expect("a word");
        assert!(level > 8.0 || judgement != "fails", "{trial}: {said}");
        assert!(level < 12.0 || judgement != "passes", "{trial}: {said}");
    }
    let page = std::fs::read_to_string(directory.join("new.html")).expect("a page");
    assert!(page.contains("Simulated") && page.contains("Requests that missed TTFT P90"));

    // The levels are points of a bench, as others are.
    let mut results = Command::new(env!("CARGO_BIN_EXE_servemark"));
    let shown = results
        .arg("results")
        .env("CRITERION_HOME", here.path())
        .output();
    let shown = text(&shown.expect("the command runs"));
    assert!(shown.contains("## capacity"), "{shown}");
}

#[test]
fn a_search_needs_an_objective_and_says_which() {
    let (here, server) = (tempfile::tempdir().expect("a directory"), eight_at_a_time());
    let url = server.urls()[0].to_string();
    let ran = capacity(here.path(), &["--endpoint", &url]);
    assert_eq!(ran.status.code(), Some(2), "{}", text(&ran));
    assert!(text(&ran).contains("--slo ttft.p95=500"), "{}", text(&ran));
    let ran = capacity(here.path(), &["--endpoint", &url, "--slo", "ttft.p93=5"]);
    assert_eq!(ran.status.code(), Some(2), "{}", text(&ran));
    assert!(text(&ran).contains("p99.9"), "{}", text(&ran));
}
