//! Points whose names are alike.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::cargo_bench::CargoBench;
use super::engines::engine;
use super::records::servemark;
use super::{SHORT, url};

/// The chat bench over questions of these keys.
fn asking(keys: &[&str], directory: &Path) -> CargoBench {
    let questions: serde_json::Map<String, Value> = keys
        .iter()
        .map(|key| {
            (
                (*key).to_owned(),
                json!("What is a good name for a grey cat?"),
            )
        })
        .collect();
    let file = directory.join("questions.jsonl");
    fs::write(&file, Value::Object(questions).to_string()).expect("written");
    let mut bench = CargoBench::new("chat_throughput");
    bench
        .env(
            "SERVEMARK_INPUT_FILE",
            file.to_str().expect("a path in UTF-8"),
        )
        .env("SERVEMARK_MAX_NEW_TOKENS", "4")
        .env("SERVEMARK_CONCURRENT_LEVELS", "1")
        .env("SERVEMARK_METRICS", "output_tok_s,rps,ttft");
    bench
}

fn found(directory: &Path, name: &str, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found(&path, name, files);
        } else if path.ends_with(name) {
            files.push(path);
        }
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

#[test]
fn prompts_with_names_alike_have_files_of_their_own() {
    let (long, server) = ("k".repeat(69), engine(|_| {}));
    let (first, second) = (format!("{long}1"), format!("{long}2"));
    let middle = "m".repeat(48);
    let keys = [
        "a/b", "a_b", "a:b", "..", ".", "", "a\nb", "con", "runs", &middle, &first, &second,
    ];
    let directory = tempfile::tempdir().expect("a directory");
    let mut bench = asking(&keys, directory.path());
    bench.env("SERVEMARK_MODEL_ENDPOINTS", &url(&server));
    let ran = bench.run(&[&["--save-baseline", "v1"], &SHORT[..]].concat());
    assert!(ran.succeeded, "{}", ran.text);

    let results = &bench.results().to_owned();
    let mut records = Vec::new();
    found(
        &results.join("servemark/chat_throughput"),
        "c=1/new.json",
        &mut records,
    );
    let prompts = records.iter().map(|path| json(path)["prompt"].clone());
    let prompts: BTreeSet<String> = prompts
        .map(|prompt| prompt.as_str().expect("a key").to_owned())
        .collect();
    assert_eq!(prompts, keys.map(str::to_owned).into(), "{records:?}");
    let mut criterion = Vec::new();
    found(results, "new/benchmark.json", &mut criterion);
    let groups: BTreeSet<String> = criterion
        .iter()
        .map(|path| json(path)["group_id"].to_string())
        .collect();
    assert_eq!(
        criterion.len(),
        3 * keys.len(),
        "each metric its own: {criterion:?}"
    );
    assert_eq!(groups.len(), 3 * keys.len());
    let mut pages = Vec::new();
    found(&results.join("servemark/pages"), "c=1.html", &mut pages);
    assert_eq!(pages.len(), keys.len());
    let mut outside = Vec::new();
    found(
        results.parent().expect("a parent"),
        "c=1/new.json",
        &mut outside,
    );
    assert_eq!(
        outside
            .iter()
            .filter(|path| path.starts_with(results))
            .count(),
        keys.len(),
        "nothing outside of the bench's directory: {outside:?}"
    );

    // The full key selects, and so does what --list shows.
    let listed = bench.run(&["--list", "--exact", "chat_throughput/a/b/rps/c=1"]);
    let id = listed
        .text
        .lines()
        .find_map(|line| line.strip_suffix(": benchmark"));
    let id = id.unwrap_or_else(|| panic!("{}", listed.text)).to_owned();
    assert_eq!(
        listed.text.matches(": benchmark").count(),
        1,
        "{}",
        listed.text
    );
    let again = bench.run(&["--list", "--exact", &id]);
    assert_eq!(
        again.text.matches(": benchmark").count(),
        1,
        "{}",
        again.text
    );

    // Kept, carried and brought back whole.
    let succeed = |arguments: &[&str]| {
        let (code, text) = servemark(results, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
        text
    };
    succeed(&["baseline", "export", "v1.tar.gz", "--name", "v1"]);
    succeed(&["baseline", "delete", "v1"]);
    let imported = succeed(&["baseline", "import", "v1.tar.gz"]);
    assert!(imported.contains("imported v1: 12 point(s)"), "{imported}");
    let compared = bench.run(&[
        "--noplot",
        "--load-baseline",
        "v1",
        "--baseline",
        "v1",
        "chat_throughput/",
    ]);
    assert!(compared.succeeded, "{}", compared.text);
}

#[test]
fn prompts_that_differ_only_in_case_are_refused_before_the_load() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut bench = asking(&["Hello", "hello"], directory.path());
    bench.env("SERVEMARK_MODEL_ENDPOINTS", "http://127.0.0.1:1");
    let ran = bench.run(&SHORT);
    assert!(!ran.succeeded, "{}", ran.text);
    assert!(
        ran.text
            .contains("error: the prompts \"Hello\" and \"hello\" of chat_throughput"),
        "{}",
        ran.text
    );
    assert!(!ran.text.contains("endpoint"), "{}", ran.text);
}

#[test]
fn a_directory_that_another_benchmark_has_is_refused_before_the_load() {
    let server = engine(|_| {});
    let mut bench = super::two_points(&server);
    let taken = bench.results().join("chat_throughput_25_rps/c=4/new");
    fs::create_dir_all(&taken).expect("made");
    // As a bench `chat` leaves it whose prompt is `throughput_25`.
    let left = json!({"group_id": "chat/throughput_25/rps"});
    fs::write(taken.join("benchmark.json"), left.to_string()).expect("written");
    let ran = bench.run(&SHORT);
    assert!(!ran.succeeded, "{}", ran.text);
    assert!(
        ran.text
            .contains("error: chat_throughput/25/rps would be kept in")
            && ran.text.contains("chat/throughput_25/rps"),
        "{}",
        ran.text
    );
}
