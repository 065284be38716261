//! Points that the last run did not measure.

use std::path::Path;
use std::process::Stdio;

use super::engines::{engine, wait_for_successes};
use super::records::{Results, Run, servemark};
use super::{SHORT, plan, record, two_points};

/// The command on some results, its exit code asserted; what it printed.
fn says(results: &Path, code: i32, arguments: &[&str]) -> String {
    let (ended, text) = servemark(results, arguments);
    assert_eq!(ended, Some(code), "{arguments:?}: {text}");
    text
}

#[test]
fn a_point_that_the_last_run_left_out_is_missing_and_not_an_older_runs() {
    let server = engine(|_| {});
    let mut bench = two_points(&server);
    let whole = bench.run(&SHORT);
    assert!(whole.succeeded, "{}", whole.text);
    let results = bench.results().to_owned();
    let ids = [2, 4].map(|concurrency| record(&results, concurrency, "new").run_id);
    assert!(ids[0].as_ref().is_some_and(|id| id.len() == 16), "{ids:?}");
    assert_eq!(ids[0], ids[1], "one id for all points of a run");
    assert_eq!(
        plan(&results, "new")["run_id"],
        *ids[0].as_ref().expect("an id")
    );
    says(&results, 0, &["baseline", "save", "whole"]);

    let part = bench.run(&[&["c=4"], &SHORT[..]].concat());
    assert!(part.succeeded, "{}", part.text);
    assert_ne!(record(&results, 4, "new").run_id, ids[0]);
    // The older record is still there, but is not the latest run's.
    assert_eq!(record(&results, 2, "new").run_id, ids[0]);

    let table = says(&results, 0, &["results"]);
    assert!(
        table.contains("- not measured by the last run: chat_throughput/25 c=2"),
        "{table}"
    );
    assert!(!table.contains("| 25     | 2 |"), "{table}");
    let csv = says(&results, 0, &["results", "--format", "csv"]);
    assert_eq!(
        csv.lines()
            .filter(|line| line.starts_with(['2', '4']))
            .count(),
        1,
        "{csv}"
    );
    let gate = says(&results, 2, &["gate", "--baseline", "whole"]);
    assert!(
        gate.contains("chat_throughput/25 c=2: new did not measure it"),
        "{gate}"
    );
    let compared = says(&results, 0, &["compare", "whole", "new"]);
    assert!(
        compared.contains("chat_throughput/25 c=2: new did not measure it"),
        "{compared}"
    );
    let saved = says(&results, 0, &["baseline", "save", "part"]);
    assert!(
        saved.contains("saved the latest run as part: 1 point(s)")
            && saved.contains("not in it: 1 point(s): chat_throughput/25 c=2"),
        "{saved}"
    );
    assert!(
        !results
            .join("servemark/chat_throughput/25/c=2/part.json")
            .exists()
    );
    assert!(!results.join("chat_throughput_25_rps/c=2/part").exists());
    assert!(results.join("chat_throughput_25_rps/c=4/part").exists());
    says(&results, 0, &["report"]);
    let page = std::fs::read_to_string(results.join("servemark/index.html")).expect("a page");
    assert_eq!(
        page.matches(">older run<").count(),
        1,
        "one point is marked"
    );
}

#[test]
fn a_metric_that_the_last_run_left_out_is_not_saved_from_an_older_one() {
    let server = engine(|_| {});
    let mut bench = two_points(&server);
    assert!(bench.run(&SHORT).succeeded);
    // Criterion's files of the first run, as they are days later.
    let results = bench.results().to_owned();
    let day = std::time::Duration::from_secs(86_400);
    for file in ["benchmark", "estimates", "sample", "tukey"] {
        let path = format!("chat_throughput_25_rps/c=4/new/{file}.json");
        let file = std::fs::File::options()
            .write(true)
            .open(results.join(path));
        let yesterday = std::time::SystemTime::now() - day;
        file.expect("Criterion's file")
            .set_modified(yesterday)
            .expect("set");
    }
    assert!(
        bench
            .run(&[&["output_tok_s/c=4"], &SHORT[..]].concat())
            .succeeded
    );
    says(&results, 0, &["baseline", "save", "v1"]);
    assert!(
        results
            .join("chat_throughput_25_output_tok_s/c=4/v1/sample.json")
            .exists()
    );
    assert!(!results.join("chat_throughput_25_rps/c=4/v1").exists());
}

#[test]
fn a_run_that_dies_before_its_first_point_leaves_nothing_as_the_latest() {
    let server = engine(|_| {});
    let mut bench = two_points(&server);
    assert!(bench.run(&SHORT).succeeded);
    let results = bench.results().to_owned();
    says(&results, 0, &["baseline", "save", "whole"]);
    let before = plan(&results, "new");

    // A command that measures nothing is not a run.
    for arguments in [
        &["--test"][..],
        &["--list"],
        &["--profile-time", "1", "output_tok_s/c=4"],
        &[
            "--noplot",
            "--baseline",
            "whole",
            "--load-baseline",
            "whole",
        ],
        &["nothing-of-this-name"],
        &["--baseline", "of-no-run"],
    ] {
        let ran = bench.run(arguments);
        assert_eq!(plan(&results, "new"), before, "{arguments:?}: {}", ran.text);
    }
    // Killed in the middle of its first point.
    let mut child = bench
        .command(bench.executable())
        .args(["--bench", "--warm-up-time", "60"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the bench runs");
    let answered = answered(&server);
    wait_for_successes(&server, answered + 20.0);
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_ne!(plan(&results, "new")["run_id"], before["run_id"]);
    let empty = "new is empty: the last run of chat_throughput";
    for arguments in [
        &["results"][..],
        &["gate", "--baseline", "whole"],
        &["compare", "whole", "new"],
        &["baseline", "save", "again"],
        &["baseline", "export", "new.tar.gz"],
    ] {
        let text = says(&results, 2, arguments);
        assert!(
            text.contains(empty) && text.contains("measured none of its 2 point(s)"),
            "{arguments:?}: {text}"
        );
    }
    assert!(!says(&results, 0, &["baseline", "list"]).contains("latest run"));
    // The pages show what there is, and say whose it is.
    says(&results, 0, &["report"]);
    let page = std::fs::read_to_string(results.join("servemark/index.html")).expect("a page");
    assert_eq!(page.matches(">older run<").count(), 2);

    // No server at all.
    assert!(bench.run(&SHORT).succeeded);
    bench
        .env("SERVEMARK_MODEL_ENDPOINTS", "http://127.0.0.1:1")
        .env("SERVEMARK_READY_TIMEOUT", "0.5");
    assert!(!bench.run(&SHORT).succeeded);
    assert!(says(&results, 2, &["results"]).contains(empty));
}

/// Requests that the engine has answered so far.
fn answered(engine: &servemark::internals::engine::Engine) -> f64 {
    use servemark::internals::config::EndpointUrl;
    use servemark::internals::endpoint::{Http, ServerMetrics};
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let http = Http::new(reqwest::Client::new(), Default::default());
    let url = EndpointUrl::parse(engine.urls()[0].as_str()).expect("the engine's address");
    let metrics = runtime.block_on(ServerMetrics::scrape(&http, &url));
    let counters = metrics.expect("the engine's /metrics").counters;
    counters.request_success_total.unwrap_or(0.0)
}

#[test]
fn a_run_saved_under_a_name_replaces_the_earlier_save_whole() {
    let server = engine(|_| {});
    let mut bench = two_points(&server);
    let save = ["--save-baseline", "v1"];
    assert!(bench.run(&[&save[..], &SHORT].concat()).succeeded);
    let results = bench.results().to_owned();
    let again = bench.run(&[&["c=4"], &save[..], &SHORT].concat());
    assert!(again.succeeded, "{}", again.text);
    assert!(
        again.text.contains(
            "baseline v1 is replaced; this run does not measure 1 point(s) that it had: chat_throughput/25 c=2"
        ),
        "{}",
        again.text
    );
    let shown = says(&results, 0, &["baseline", "show", "v1"]);
    assert!(
        shown.contains("25 c=4") && !shown.contains("25 c=2"),
        "{shown}"
    );
    assert!(!results.join("chat_throughput_25_rps/c=2/v1").exists());
    assert!(results.join("chat_throughput_25_rps/c=4/v1").exists());
    assert_eq!(
        record(&results, 4, "v1").run_id,
        record(&results, 4, "new").run_id
    );
    // A name can be given again, whatever was known of its run.
    says(&results, 0, &["baseline", "delete", "v1"]);
    says(&results, 0, &["baseline", "save", "v1"]);
    says(&results, 0, &["baseline", "show", "v1"]);
}

#[test]
fn records_without_a_run_id_are_read_as_before() {
    let results = Results::new();
    let mut other = Run::new(2, "0%");
    other.concurrency = 16;
    results
        .write("new", &Run::new(1, "0%").record("0.32.0"))
        .write("new", &other.record("0.32.0"));
    let table = results.succeed(&["results"]);
    assert!(!table.contains("not measured"), "{table}");
    assert_eq!(
        table.matches("| 100    |").count(),
        6,
        "two points, three tables: {table}"
    );
}

#[test]
fn without_a_plan_the_record_that_ended_last_says_which_run_is_the_last() {
    let results = Results::new();
    let (mut old, mut new) = (Run::new(1, "0%"), Run::new(2, "0%").record("0.32.0"));
    old.concurrency = 16;
    let mut old = old.record("0.32.0");
    (old.run_id, new.run_id) = (Some("a".repeat(16)), Some("b".repeat(16)));
    old.ended_unix_s -= 86_400.0;
    results.write("new", &old).write("new", &new);
    let table = results.succeed(&["results"]);
    assert!(
        table.contains("not measured by the last run: chat_throughput/100 c=16"),
        "{table}"
    );
}

#[test]
fn benches_that_were_measured_days_apart_are_named_with_both_times() {
    let results = Results::new();
    for name in ["old", "new"] {
        let chat = Run::new(if name == "old" { 1 } else { 2 }, "0%").record("0.32.0");
        let mut pretrained = chat.clone();
        pretrained.bench = "pretrained_throughput".to_owned();
        if name == "new" {
            pretrained.ended_unix_s -= 7.0 * 86_400.0;
        }
        results.write(name, &chat).write(name, &pretrained);
    }
    let week_ago = chrono::Utc::now() - chrono::TimeDelta::days(7);
    let line = format!(
        "new: pretrained_throughput was last measured {}",
        week_ago.format("%Y-%m-%d")
    );
    for arguments in [
        &["results"][..],
        &["results", "--format", "csv"],
        &["compare", "old", "new"],
        &["gate", "--baseline", "old"],
    ] {
        let (_, text) = results.servemark(arguments);
        assert!(text.contains(&line), "{arguments:?}: {text}");
        assert!(!text.contains("old: "), "{arguments:?}: {text}");
    }
}

#[test]
fn a_side_that_was_not_measured_again_has_no_older_record_in_the_verdict() {
    let (old, new) = (engine(|_| {}), engine(|_| {}));
    let mut bench = two_points(&old);
    let sides = |new: &str| format!("old={},new-one={new}", old.urls()[0]);
    bench.env("SERVEMARK_AB", &sides(new.urls()[0].as_str()));
    let both = bench.run(&SHORT);
    assert!(both.succeeded, "{}", both.text);
    let results = bench.results().to_owned();
    let ids = ["old", "new-one"].map(|name| record(&results, 4, name).run_id);
    assert!(ids[0].is_some() && ids[0] == ids[1], "{ids:?}");
    let part = bench.run(&[&["c=4"], &SHORT[..]].concat());
    assert!(part.succeeded, "{}", part.text);
    let compared = says(&results, 0, &["compare", "old", "new-one"]);
    assert!(
        compared.contains("25 c=4") && !compared.contains("25 c=2"),
        "{compared}"
    );
    let shown = says(&results, 0, &["baseline", "show", "old"]);
    assert!(
        shown.contains(
            "not measured by the last run, and not in it: 1 point(s): chat_throughput/25 c=2"
        ),
        "{shown}"
    );
    // One side's servers are gone: neither is of the last run.
    bench
        .env("SERVEMARK_AB", &sides("http://127.0.0.1:1"))
        .env("SERVEMARK_READY_TIMEOUT", "0.5");
    assert!(!bench.run(&SHORT).succeeded);
    let text = says(&results, 2, &["compare", "old", "new-one"]);
    assert!(text.contains("old is empty"), "{text}");
}

#[test]
fn a_deployment_left_out_of_a_point_is_missing_there() {
    let (one, two) = (engine(|_| {}), engine(|_| {}));
    let mut bench = super::two_deployments(&one, &two);
    let save = ["--save-baseline", "v1"];
    let both = bench.run(&[&save[..], &SHORT].concat());
    assert!(both.succeeded, "{}", both.text);
    let results = bench.results().to_owned();
    // By the id of one deployment's benchmark, which the bench as a whole does not have.
    let part = bench.run(&[&["/two/c=4"], &save[..], &SHORT].concat());
    assert!(part.succeeded, "{}", part.text);
    assert!(part.text.contains("two"), "{}", part.text);
    let shown = |name: &str| says(&results, 0, &["baseline", "show", name]);
    for name in ["one", "v1-one"] {
        let shown = shown(name);
        assert!(
            shown.contains("25 c=2") && shown.contains("25 c=4"),
            "{shown}"
        );
    }
    for name in ["two", "v1-two"] {
        let shown = shown(name);
        let figures: Vec<&str> = shown.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(figures.len(), 3, "a head and one point: {shown}");
        assert!(figures[2].contains("25 c=4"), "{shown}");
    }
    let group = results.join("deployments_25_rps/two");
    assert!(group.join("c=4/v1").exists() && !group.join("c=2/v1").exists());
}
