//! The results of a run of deployments: records, plots, a table, verdicts.

use std::process::Command;

use serde_json::json;

use super::*;
use crate::slowed::slowed;

#[test]
fn replicas_are_started_measured_side_by_side_and_stopped() {
    let mut bench = bench(json!([
        {"name": "one", "command": engine(""), "gpus_per_replica": 1},
        {"name": "two", "command": engine(""), "gpus_per_replica": 1, "replicas": 2},
        {"name": "checked", "command": engine(""), "gpus_per_replica": 1, "safe_check": true},
    ]));
    bench
        .env("SERVEMARK_CONCURRENT_LEVELS", "2,4")
        .env("SERVEMARK_SAFETY_DELAY_MS", "20,20");
    let ran = bench.run(&SHORT);
    println!("{}", ran.text);
    assert!(ran.succeeded, "{}", ran.text);
    assert!(
        ran.text.contains("deployments/25/output_tok_s/two/c=4"),
        "{}",
        ran.text
    );

    let [one, two, checked] = ["one", "two", "checked"].map(|name| record(&bench, 4, name));
    let mut all = Vec::from_iter([&one, &two, &checked].into_iter().flat_map(ports));
    assert_eq!(all.len(), 4);
    assert!(
        all.iter().all(|port| !serves(*port)),
        "all are stopped: {all:?}"
    );
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4, "no port is given twice");

    assert_eq!(two["config"]["NUM_GPU"], 2);
    assert_eq!(two["deployment"]["replicas"], 2);
    assert_eq!(two["simulated"], "sim-small");
    assert_eq!(checked["config"]["SAFE_CHECK"], true);
    let safety = checked["summary"]["safety_ms"]["p50"].as_f64();
    assert!(safety.is_some_and(|ms| ms >= 40.0), "{safety:?}");
    for log in ["one-0", "two-0", "two-1", "checked-0"] {
        let path = bench.results().join(format!("servemark/logs/{log}.log"));
        let text = std::fs::read_to_string(&path).expect(log);
        assert!(text.contains("Ready."), "{log}: {text}");
    }
    // Two at c=4 are compared with one at c=2.
    // Two at c=4 are compared with one at c=2.
    let mut rows = ran
        .text
        .lines()
        .filter(|line| line.contains("| two ") && line.contains("| 2 × 1 "));
    let row = rows.find(|line| line.split('|').nth(4).is_some_and(|c| c.trim() == "4"));
    let row = row.unwrap_or_else(|| panic!("no row: {}", ran.text));
    assert!(row.contains(" % |"), "scaling: {row}");
    assert!(
        ran.text.contains("checked is not compared: "),
        "{}",
        ran.text
    );
    assert!(
        ran.text
            .contains("throughput within SLO: n/a, as SLO is not set"),
        "{}",
        ran.text
    );
    let group = bench.results().join("deployments_25_output_tok_s");
    assert!(
        group.join("report/violin.svg").is_file(),
        "Criterion compares the deployments"
    );
    let csv = ran.csv();
    assert!(csv.contains("deployments · two"), "{csv}");

    let compare = Command::new(env!("CARGO_BIN_EXE_servemark"))
        .args(["compare", "one", "two"])
        .env("CRITERION_HOME", bench.results())
        .output()
        .expect("the command runs");
    let text = String::from_utf8_lossy(&compare.stdout);
    assert!(compare.status.success(), "{compare:?}");
    assert!(text.contains("endpoints: 1 → 2"), "{text}");
}

#[test]
fn the_old_version_against_the_new_in_one_command() {
    let mut bench = bench(json!([
        {"name": "old", "command": engine(""), "version": "0.31.0"},
        {"name": "new", "command": engine("--slowdown 40%"), "version": "0.32.0"},
    ]));
    let ran = bench.run(&SHORT);
    println!("{}", ran.text);
    assert!(ran.succeeded, "{}", ran.text);
    assert!(ran.text.contains("# new against old"), "{}", ran.text);
    let verdict = ran
        .text
        .lines()
        .find(|line| line.contains("| output tok/s "));
    assert!(
        verdict.is_some_and(|line| line.contains("regressed")),
        "{}",
        ran.text
    );
    let best = ran
        .text
        .lines()
        .find(|line| line.starts_with("- throughput: "));
    let best = best.expect("a verdict");
    assert!(
        best.contains("**old (0.31.0)**") && best.contains("behind it: new (0.32.0)"),
        "{best}"
    );
}

#[test]
fn deployments_without_a_selected_point_are_not_started() {
    let mut bench = bench(json!([
        {"name": "one", "command": engine("")},
        {"name": "none", "command": "no-such-program {port}"},
    ]));
    let ran = bench.run(&["/one/", "--test"]);
    assert!(ran.succeeded, "{}", ran.text);
    assert!(!ran.text.contains("no-such-program"), "{}", ran.text);
    let ran = bench.run(&["--list"]);
    assert!(ran.succeeded, "{}", ran.text);
    for id in ["one/c=4", "none/c=4"] {
        let id = format!("deployments/25/output_tok_s/{id}: benchmark");
        assert!(ran.text.contains(&id), "{id}: {}", ran.text);
    }
}

#[test]
fn deployments_are_measured_at_the_rates_of_an_open_loop() {
    let engines = [1.0, 1.5].map(slowed);
    let [quick, slow] = engines
        .each_ref()
        .map(|engine| [engine.urls()[0].to_string()]);
    let mut bench = bench(json!([
        {"name": "quick", "endpoints": quick},
        {"name": "slow", "endpoints": slow},
    ]));
    bench
        .env("SERVEMARK_LOAD_SHAPE", "open")
        .env("SERVEMARK_ARRIVALS", "constant")
        .env("SERVEMARK_REQUEST_RATES", "20,40");
    let ran = bench.run(&["--warm-up-time", "0.2", "--measurement-time", "3"]);
    println!("{}", ran.text);
    assert!(ran.succeeded, "{}", ran.text);
    for rate in [20.0, 40.0] {
        let records = ["quick", "slow"].map(|name| {
            let id = format!("deployments/25/output_tok_s/{name}/rate={rate}");
            assert!(ran.text.contains(&id), "{id}: {}", ran.text);
            record_at(&bench, &format!("rate={rate}"), name)
        });
        // Neighbours that take the client's cores make any figure doubtful, which the records then say.
        let kept_up = |record: &Value| record["self_check"]["client_bound"] == json!([]);
        let is_sure = records.iter().all(kept_up);
        for record in &records {
            assert_eq!(record["config"]["LOAD_SHAPE"], "open");
            assert_eq!(record["windows"].as_array().map(Vec::len), Some(10));
            let rps = record["summary"]["rps"].as_f64().expect("RPS");
            assert!(!is_sure || (rps / rate - 1.0).abs() < 0.1, "{rps} req/s");
        }
        let verdicts = ran.text.split(&format!("| 25 rate={rate} ")).nth(1);
        let mut verdicts = verdicts.expect("the verdicts of the point").lines();
        let latency = verdicts.find(|line| line.contains("| E2EL P50 (ms) "));
        let latency = latency.expect("a verdict");
        assert!(!is_sure || latency.contains("regressed"), "{}", ran.text);
        // At a given rate both do what is asked for.
        let best = format!("- throughput at rate={rate}: **");
        let best = ran.text.lines().find(|line| line.starts_with(&best));
        let best = best.expect("a ranking");
        assert!(!is_sure || best.contains("; tied "), "{}", ran.text);
    }
}
