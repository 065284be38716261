//! `servemark capacity` against servers whose capacity is known.

mod engines;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use servemark::internals::engine::{Engine, Preset};

/// A server that generates for so many requests at a time: a further one waits for a whole answer.
fn at_a_time(requests: usize) -> Engine {
    engines::engine(|options| {
        let mut preset = Preset::named("sim-small").expect("a shipped preset");
        preset.noise = Default::default();
        preset.step_time.base_us = 10_000.0;
        preset.scheduler.max_num_seqs = requests;
        options.preset = preset;
    })
}

fn servemark(here: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_servemark"));
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("SERVEMARK_")) {
        command.env_remove(key);
    }
    command
        .args(arguments)
        .current_dir(here)
        .env("CRITERION_HOME", here);
    command
}

/// Both outputs of a command, and its exit code.
fn ran(mut command: Command) -> (String, Option<i32>) {
    let output = command.output().expect("the command runs");
    let text = [output.stdout, output.stderr].concat();
    (
        String::from_utf8_lossy(&text).into_owned(),
        output.status.code(),
    )
}

fn search(here: &Path, more: &[&str]) -> Command {
    let load = ["capacity", "--prompt", "25", "--max-tokens", "16"];
    let times = [
        "--duration",
        "0.4",
        "--longest",
        "0.8",
        "--warm-up",
        "0.2",
        "--windows",
        "5",
    ];
    // A request that waits takes 160 ms until its first token, another at most 30 ms.
    let slo = ["--slo", "ttft.p90=100,failed=0.05"];
    let levels = ["--start", "16", "--most", "64"];
    servemark(here, &[&load[..], &times, &slo, &levels, more].concat())
}

fn record(here: &Path, name: &str) -> Value {
    let path = format!("servemark/capacity/25/capacity/{name}.json");
    let record = std::fs::read(here.join(path)).expect("a record");
    serde_json::from_slice(&record).expect("JSON")
}

/// The capacity of a server of so many requests is as many, or a tenth more, which may wait; no trial says otherwise.
fn assert_is_near(record: &Value, requests: f64) {
    let found = &record["capacity"];
    let lower = found["lower"].as_f64().expect("a number");
    let upper = found["upper"].as_f64().expect("a number");
    assert!(
        lower <= requests / 0.9 && (requests..=2.0 * requests).contains(&upper),
        "{found}"
    );
    assert_eq!(found["bound_by"], "TTFT P90 ≤ 100 ms", "{found}");
    let trials = record["trials"].as_array().expect("trials");
    assert!((3..=20).contains(&trials.len()), "{record}");
    for trial in trials {
        let level = trial["concurrency"].as_f64().expect("a level");
        let judgement = trial["judgement"].as_str().expect("a word");
        assert!(level > requests || judgement != "fails", "{trial}");
        assert!(level < 1.5 * requests || judgement != "passes", "{trial}");
    }
}

#[test]
fn capacities_are_found_kept_ranked_compared_and_gated() {
    let [here, there] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let [here, there] = [here.path(), there.path()];
    let (old, slow) = (at_a_time(24), at_a_time(12));
    let deployments = json!([
        {"name": "old", "endpoints": old.urls(), "gpus_per_replica": 1},
        {"name": "slow", "endpoints": slow.urls(), "gpus_per_replica": 4},
    ]);
    let mut command = search(here, &[]);
    command.env("SERVEMARK_DEPLOYMENTS", deployments.to_string());
    std::thread::scope(|scope| {
        let elsewhere = scope.spawn(|| found_and_exported(there));
        let (said, code) = ran(command);
        assert!(matches!(code, Some(0 | 1)), "{said}");
        assert!(said.contains("**simulated**"), "{said}");
        for question in ["capacity", "capacity per GPU"] {
            let question = format!("- {question}: **old** with ");
            let line = said.lines().find(|line| line.starts_with(&question));
            let line = line.unwrap_or_else(|| panic!("no {question}: {said}"));
            assert!(line.contains("; behind it: slow ("), "{line}");
        }
        elsewhere.join().expect("found");
    });
    assert_is_near(&record(here, "old"), 24.0);
    assert_is_near(&record(here, "slow"), 12.0);
    let file = there.join("v0.tar.gz").display().to_string();
    imported_and_compared(here, &file);
    gated(here);
}

/// Searches on a server of 24 requests, and exports the result.
fn found_and_exported(there: &Path) {
    let server = at_a_time(24);
    let url = server.urls()[0].to_string();
    let (said, code) = ran(search(there, &["--endpoint", &url]));
    assert!(matches!(code, Some(0 | 1)), "{said}");
    assert!(said.contains("Capacity of 25: "), "{said}");
    assert_is_near(&record(there, "new"), 24.0);
    let page = there.join("servemark/capacity/25/capacity/new.html");
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(page.contains("Simulated") && page.contains("Requests that missed TTFT P90"));
    // The levels are points of a bench, as others are.
    let shown = succeeds(there, &["results"]);
    assert!(shown.contains("## capacity"), "{shown}");
    let saved = succeeds(there, &["baseline", "save", "v0"]);
    assert!(saved.contains(" and 1 capacity"), "{saved}");
    assert_eq!(record(there, "v0"), record(there, "new"));
    succeeds(there, &["baseline", "export", "v0.tar.gz", "--name", "v0"]);
    reported(there);
    succeeds(there, &["baseline", "delete", "v0"]);
    let deleted = there.join("servemark/capacity/25/capacity/v0.json");
    assert!(!deleted.exists());
}

fn succeeds(here: &Path, arguments: &[&str]) -> String {
    let (said, code) = ran(servemark(here, arguments));
    assert_eq!(code, Some(0), "{arguments:?}: {said}");
    said
}

fn imported_and_compared(here: &Path, file: &str) {
    succeeds(here, &["baseline", "import", file]);
    succeeds(here, &["baseline", "rename", "v0", "v1"]);
    let compared = |arguments: &[&str]| {
        let text = succeeds(here, &[&["compare"], arguments].concat());
        let mut lines = text.lines();
        let line = lines.find(|line| line.contains("| capacity "));
        line.unwrap_or_else(|| panic!("no capacity: {text}"))
            .to_owned()
    };
    let equal = compared(&["old", "v1"]);
    assert!(
        !equal.contains("regressed") && !equal.contains("improved"),
        "{equal}"
    );
    let slower = compared(&[file, "slow", "--figures", "capacity"]);
    assert!(
        slower.contains("users (") && slower.contains("regressed"),
        "{slower}"
    );
    let better = compared(&["servemark/capacity/25/capacity/slow.json", "old"]);
    assert!(better.contains("improved"), "{better}");
    let trend = compared(&["old", "v1", "slow"]);
    assert!(trend.contains("% regressed"), "{trend}");
}

fn reported(here: &Path) {
    succeeds(here, &["report", "--baseline", "v0", "--output", "pages"]);
    let page = |path: &str| std::fs::read_to_string(here.join("pages").join(path)).expect("a page");
    let overview = page("index.html");
    let link = r#"<a href="pages/capacity/25/capacity.html">Capacity of capacity/25</a>: "#;
    assert!(overview.contains(link), "{overview}");
    assert!(page("pages/capacity/25/capacity.html").contains("Requests that missed TTFT P90"));
    assert!(page("pages/comparison.html").contains("Change of capacity at each point"));
}

fn gated(here: &Path) {
    let gate = |candidate| ["gate", "--baseline", "v1", "--candidate", candidate];
    let gated = |arguments: &[&str], expected: i32| {
        let (said, code) = ran(servemark(here, arguments));
        // Of a client that did not keep up, a gate cannot tell.
        let expected = if said.contains("client-bound") {
            2
        } else {
            expected
        };
        assert_eq!(code, Some(expected), "{said}");
        said
    };
    let said = gated(&gate("slow"), 1);
    assert!(said.contains("capacity/25"), "{said}");
    let files = ["--junit", "gate.xml", "--markdown", "gate.md"];
    gated(&[&gate("old")[..], &files].concat(), 0);
    let xml = std::fs::read_to_string(here.join("gate.xml")).expect("written");
    assert!(
        xml.contains(r#"<testcase name="capacity" classname="25""#),
        "{xml}"
    );
    let table = std::fs::read_to_string(here.join("gate.md")).expect("written");
    assert!(table.contains("| capacity/25 | capacity "), "{table}");
}

#[test]
fn a_search_needs_an_objective_and_says_which() {
    let (here, server) = (tempfile::tempdir().expect("a directory"), at_a_time(8));
    let url = server.urls()[0].to_string();
    let search = |more: &[&str]| {
        let arguments = [&["capacity", "--endpoint", &url], more].concat();
        let (said, code) = ran(servemark(here.path(), &arguments));
        assert_eq!(code, Some(2), "{said}");
        said
    };
    let said = search(&[]);
    assert!(said.contains("--slo ttft.p95=500"), "{said}");
    let said = search(&["--slo", "ttft.p93=5"]);
    assert!(said.contains("p99.9"), "{said}");
}
