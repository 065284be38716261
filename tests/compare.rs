//! `servemark compare` as a user runs it.

mod records;

use records::{Results, Run};
use servemark::RunRecord;

/// Two versions, the second 12 % slower.
fn two_versions() -> Results {
    let results = Results::new();
    results
        .write("old", &Run::new(1, "0%").record("0.31.0"))
        .write("new", &Run::new(2, "12%").record("0.32.0"));
    results
}

/// A comparison of a version with what `change` makes of it.
fn refused(change: fn(&mut RunRecord)) -> String {
    let results = Results::new();
    let mut after = Run::new(2, "0%").record("0.31.0");
    change(&mut after);
    results
        .write("old", &Run::new(1, "0%").record("0.31.0"))
        .write("new", &after);
    results.fail(&["compare", "old", "new"])
}

#[test]
fn a_slower_version_is_shown_after_what_differs() {
    let text = two_versions().succeed(&["compare", "old", "new"]);
    println!("{text}");
    let differs = text
        .find("- server: vLLM 0.31.0 → vLLM 0.32.0")
        .expect("what differs");
    let table = text.find("| Point").expect("the table");
    assert!(differs < table, "{text}");
    assert!(
        text.starts_with("# new against old — **simulated**"),
        "{text}"
    );
    let row = text
        .lines()
        .find(|line| line.contains("output tok/s"))
        .expect("a row");
    assert!(row.contains("100 c=8") && row.contains("−1"), "{row}");
    assert!(row.contains("regressed"), "{row}");
    let p99 = text
        .lines()
        .find(|line| line.contains("TTFT P99"))
        .expect("a row");
    assert!(
        p99.contains("320 of 1,000 values") && p99.contains("inconclusive"),
        "{p99}"
    );
    assert!(
        text.contains("measure longer (--measurement-time)"),
        "{text}"
    );
    assert!(
        !text.contains("P95") && !text.contains("P99.9"),
        "only if they are named: {text}"
    );
    assert!(text.contains("Benjamini–Hochberg over all"), "{text}");
    let widest = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.chars().count());
    assert!(widest.max().expect("a table") <= 120, "{text}");
}

#[test]
fn figures_and_thresholds_are_chosen() {
    let results = two_versions();
    let text = results.succeed(&[
        "compare",
        "old",
        "new",
        "--figures",
        "tok_s,rps",
        "--threshold",
        "tok_s=30%",
        "--only-changes",
    ]);
    assert!(!text.contains("TTFT") && text.contains("RPS"), "{text}");
    assert!(
        !text.contains("| output tok/s"),
        "it changed by less than 30 %: {text}"
    );
    assert!(text.contains("tok_s 30 %, rps 3 %"), "{text}");
    let (code, text) = results.servemark(&["compare", "old", "new", "--figures", "toks"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("the figures are tok_s, rps"), "{text}");
}

#[test]
fn incomparable_runs_are_refused_with_the_reason() {
    let real = refused(|record| record.simulated = None);
    assert!(
        real.contains("the server is simulated before and real after"),
        "{real}"
    );
    let model = refused(|record| record.endpoints[0].model = Some("other".to_owned()));
    assert!(
        model.contains("the model is simulated/sim-small before and other after"),
        "{model}"
    );
    let work = refused(|record| record.config["MAX_NEW_TOKENS"] = 64.into());
    assert!(
        work.contains("MAX_NEW_TOKENS is 32 before and 64 after"),
        "{work}"
    );
    let point = refused(|record| record.level = "c=9".parse().expect("a level"));
    assert!(point.contains("no point in common"), "{point}");
    let results = two_versions();
    let missing = results.fail(&["compare", "old", "v9"]);
    assert!(
        missing.contains("there is no baseline v9")
            && missing.contains("existing baselines: new, old"),
        "{missing}"
    );
    let no_file = results.fail(&["compare", "old", "away/v9.tar.gz"]);
    assert!(
        no_file.contains("there is no file away/v9.tar.gz"),
        "{no_file}"
    );
}

#[test]
fn a_side_can_be_several_runs_or_a_file() {
    let results = two_versions();
    for (name, seed) in [("old-2", 5), ("old-3", 6)] {
        results.write(name, &Run::new(seed, "0%").record("0.31.0"));
    }
    let text = results.succeed(&["compare", "old,old-2,old-3", "new", "--figures", "tok_s"]);
    assert!(text.contains("3 runs each"), "{text}");
    results.succeed(&["baseline", "export", "kept.tar.gz", "--name", "old"]);
    let from_file = results.succeed(&["compare", "kept.tar.gz", "new", "--figures", "tok_s"]);
    assert!(from_file.contains("regressed"), "{from_file}");
    let record = "servemark/chat_throughput/100/c=8/old.json";
    let from_record = results.succeed(&["compare", record, "new", "--figures", "tok_s"]);
    assert!(from_record.contains("regressed"), "{from_record}");
}

#[test]
fn doubts_are_warned_of() {
    let results = two_versions();
    let mut bound = Run::new(3, "0%").record("0.32.0");
    bound.self_check = serde_json::from_value(serde_json::json!({
        "busy_share": 0.95, "starved_share": null, "loop_lag_ms": null, "send_lag_ms": null,
        "client_bound": ["its threads were busy 95 % of the time (limit 80 %)"],
    }))
    .expect("a self-check");
    results.write("bound", &bound);
    let text = results.succeed(&["compare", "old", "bound"]);
    assert!(text.contains("bound: client-bound: its threads"), "{text}");
    assert!(text.contains("(doubtful)"), "{text}");
    let same = results.succeed(&["compare", "old", "old"]);
    assert!(same.contains("both sides are the same run"), "{same}");
}

#[test]
fn more_than_two_sides_are_a_trend_in_the_order_of_their_versions() {
    let results = Results::new();
    results
        .write("c", &Run::new(1, "0%").record("0.9.2"))
        .write("a", &Run::new(2, "12%").record("0.32.0"))
        .write("b", &Run::new(3, "0%").record("0.31.0rc1"));
    let text = results.succeed(&["compare", "a", "b", "c", "--figures", "tok_s,e2el_p50"]);
    println!("{text}");
    let order: Vec<usize> = ["vLLM 0.9.2", "vLLM 0.31.0rc1", "vLLM 0.32.0"]
        .map(|version| text.find(version).expect("in the legend"))
        .into();
    assert!(order.is_sorted(), "{text}");
    let row = text
        .lines()
        .find(|line| line.contains("output tok/s"))
        .expect("a row");
    let cells: Vec<&str> = row.split('|').collect();
    assert!(cells[4].contains(" =)") && cells[5].contains("▼"), "{row}");
    assert!(cells[6].contains("regressed"), "{row}");
    assert!(
        text.contains("over all 6 tests"),
        "two figures, three pairs: {text}"
    );
}
