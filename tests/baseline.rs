//! `servemark baseline` as a user runs it.

mod records;

use std::fs;
use std::path::{Path, PathBuf};

use records::{Results, Run};

/// A run of two points, the latest.
fn latest() -> Results {
    let results = Results::new();
    for concurrency in [4, 8] {
        let run = Run {
            concurrency,
            windows: 5,
            ..Run::new(1, "0%")
        };
        results.write("new", &run.record("0.32.0"));
    }
    results
}

/// Every file beneath a directory whose path has `part` in it.
fn files(directory: &Path, part: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path, part)),
            false if path.to_string_lossy().contains(part) => found.push(path),
            false => {}
        }
    }
    found
}

#[test]
fn the_latest_run_is_kept_under_its_version_and_shown() {
    let results = latest();
    let saved = results.succeed(&["baseline", "save"]);
    assert!(
        saved.contains("saved the latest run as vllm-0.32.0: 2 point(s)"),
        "{saved}"
    );
    let list = results.succeed(&["baseline", "list"]);
    println!("{list}");
    assert!(
        list.contains("new (latest run)") && list.contains("vllm-0.32.0"),
        "{list}"
    );
    assert!(list.contains("sim-small"), "{list}");
    let show = results.succeed(&["baseline", "show", "vllm-0.32.0"]);
    println!("{show}");
    assert!(show.contains("**simulated**"), "{show}");
    assert!(show.contains("chat_throughput/100 c=4"), "{show}");
    let again = results.fail(&["baseline", "save"]);
    assert!(
        again.contains("baseline vllm-0.32.0 already exists"),
        "{again}"
    );
    results.succeed(&["baseline", "save", "--force"]);
    // Records of other processes of a run lie beside.
    let record = results
        .path()
        .join("servemark/chat_throughput/100/c=4/new.json");
    fs::copy(&record, record.with_file_name("new.rank-2-of-4.json")).expect("copied");
    assert_eq!(results.succeed(&["baseline", "list"]), list);
}

#[test]
fn a_run_of_several_versions_wants_a_name() {
    let results = latest();
    results.write("new", &Run::new(2, "0%").record("0.31.0"));
    let refused = results.fail(&["baseline", "save"]);
    assert!(
        refused.contains("several server versions (vLLM 0.31.0, vLLM 0.32.0): give a name"),
        "{refused}"
    );
    results.succeed(&["baseline", "save", "mixed"]);
    assert!(
        Results::new()
            .fail(&["baseline", "save"])
            .contains("measure first")
    );
}

#[test]
fn a_baseline_goes_to_a_file_and_comes_back_whole() {
    let results = latest();
    results.succeed(&["baseline", "save", "v1"]);
    let before: Vec<_> = files(results.path(), "v1").into_iter().collect();
    assert_eq!(before.len(), 2 * (1 + 2 * 4), "{before:?}");
    results.succeed(&["baseline", "export", "v1.tar.gz", "--name", "v1"]);
    let deleted = results.succeed(&["baseline", "delete", "v1"]);
    assert!(
        deleted.contains("2 run record(s) and 4 Criterion directories"),
        "{deleted}"
    );
    assert_eq!(files(results.path(), "/v1").len(), 1, "the exported file");

    results.succeed(&["baseline", "import", "v1.tar.gz"]);
    let mut after = files(results.path(), "v1");
    after.retain(|path| !path.ends_with("v1.tar.gz"));
    assert_eq!(after, before);
    let exists = results.fail(&["baseline", "import", "v1.tar.gz"]);
    assert!(
        exists.contains("nothing was imported") && exists.contains("already"),
        "{exists}"
    );
    results.succeed(&["baseline", "import", "v1.tar.gz", "--force"]);
    results.succeed(&["baseline", "import", "v1.tar.gz", "--as", "v2"]);
    results.succeed(&["baseline", "rename", "v2", "v3"]);
    assert!(files(results.path(), "v2").is_empty());
    assert_eq!(files(results.path(), "v3").len(), before.len());
    let exists = results.fail(&["baseline", "rename", "v3", "v1"]);
    assert!(exists.contains("already"), "{exists}");
    assert!(
        files(results.path(), ".import").is_empty(),
        "nothing temporary is left"
    );
}

#[test]
fn the_latest_run_is_exported_under_its_version() {
    let results = latest();
    results.succeed(&["baseline", "export", "run.tar.gz"]);
    let elsewhere = Results::new();
    fs::copy(
        results.path().join("run.tar.gz"),
        elsewhere.path().join("run.tar.gz"),
    )
    .expect("copied");
    let imported = elsewhere.succeed(&["baseline", "import", "run.tar.gz"]);
    assert!(
        imported.contains("imported vllm-0.32.0: 2 point(s)"),
        "{imported}"
    );
}

#[test]
fn a_file_that_is_not_a_baseline_is_refused_and_nothing_changes() {
    let results = latest();
    results.succeed(&["baseline", "export", "whole.tar.gz"]);
    let whole = fs::read(results.path().join("whole.tar.gz")).expect("exported");
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    for (bytes, words) in [
        (&whole[..whole.len() / 2], "it ends too early"),
        (&whole[..whole.len() - 4], "it ends too early"),
        (&flipped, "is not a baseline exported by servemark"),
        (
            b"not a tar file at all",
            "is not a baseline exported by servemark",
        ),
        (b"", "it ends too early"),
    ] {
        fs::write(results.path().join("bad.tar.gz"), bytes).expect("written");
        let refused = results.fail(&["baseline", "import", "bad.tar.gz"]);
        assert!(
            refused.contains(words) && refused.contains("bad.tar.gz"),
            "{words}: {refused}"
        );
    }
    let away = results.fail(&["baseline", "import", "away.tar.gz"]);
    assert!(away.contains("away.tar.gz"), "{away}");
    assert!(
        !results
            .succeed(&["baseline", "list"])
            .contains("vllm-0.32.0 ")
    );
    assert!(files(results.path(), ".import").is_empty());
}

#[test]
fn names_that_are_no_names_are_refused() {
    let results = latest();
    for name in ["../up", "a/b", "new", "base", "report", "a,b", ""] {
        let (code, text) = results.servemark(&["baseline", "save", name]);
        assert_eq!(code, Some(2), "{name:?}: {text}");
        assert!(
            text.contains("is not a valid name of a baseline"),
            "{name:?}: {text}"
        );
    }
    results.succeed(&["baseline", "save", "v1"]);
    let (code, text) = results.servemark(&["baseline", "rename", "v1", "change"]);
    assert_eq!(code, Some(2), "{text}");
    results.succeed(&["baseline", "export", "v1.tar.gz", "--name", "v1"]);
    let (code, text) = results.servemark(&["baseline", "import", "v1.tar.gz", "--as", "../v1"]);
    assert_eq!(code, Some(2), "{text}");
}
