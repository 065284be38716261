//! `--save-baseline`: the baseline of the name is that of a complete run, or the earlier one.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::Signal;

use super::cargo_bench::CargoBench;
use super::engines::{engine, faults};
use super::records::servemark;
use super::signalled::Process;
use super::{SHORT, record, two_deployments, two_points, url};

/// Every file with this in its path, and its content.
fn files(directory: &Path, part: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, part));
        } else if path.to_string_lossy().contains(part) {
            let bytes = fs::read(&path).expect("readable");
            found.insert(path, bytes);
        }
    }
    found
}

/// Starts a run saved under `name`, and waits until it says `words` on its standard error: all that is heard of it.
fn run_until(bench: &CargoBench, executable: &Path, name: &str, words: &str) -> Process {
    let mut command = bench.command(executable);
    command
        .args(["--bench", "--save-baseline", name])
        .args(SHORT);
    let mut process = Process::start_with_stdout(command, Stdio::null());
    process.until(words);
    process
}

#[test]
fn a_run_that_ends_early_leaves_the_earlier_baseline_and_no_part_of_a_new_one() {
    let server = engine(|_| {});
    let mut bench = two_points(&server);
    let save = [&["--save-baseline", "kept"], &SHORT[..]].concat();
    let ran = bench.run(&save);
    assert!(ran.succeeded, "{}", ran.text);
    let saved = "baseline kept is saved: 2 point(s)";
    assert!(ran.text.contains(saved), "{}", ran.text);
    let results = bench.results().to_owned();
    let kept = files(&results, "kept");
    assert_eq!(kept.len(), 2 * (1 + 2 * 4), "{:?}", kept.keys());

    let executable = bench.executable();
    // Two minutes: it is not at its end when the signal comes.
    bench.env("SERVEMARK_RUNS", "100");
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        for name in ["kept", "other"] {
            let process = run_until(&bench, &executable, name, "[3/200] ");
            process.signal(signal);
            let (status, said) = process.end();
            assert!(!status.success(), "{said}");
            let stays = match name {
                "kept" => ("kept is not saved, and the earlier one stays", " --force"),
                _ => ("other is not saved", ""),
            };
            if signal == Signal::SIGTERM {
                let (words, force) = stays;
                let note = format!(
                    "baseline {words}: SIGTERM ended the run; to save what was measured: servemark baseline save {name}{force}\n"
                );
                assert!(said.contains(&note), "{note}{said}");
            }
            let (_, list) = servemark(&results, &["baseline", "list"]);
            assert!(list.contains("kept") && !list.contains("other"), "{list}");
            assert_eq!(files(&results, "kept"), kept, "{signal} {name}");
            assert!(files(&results, "other").is_empty(), "{signal} {name}");
            assert!(files(&results, "/.servemark-").is_empty());
        }
    }
    // The command that the note of the last run names.
    let (code, text) = servemark(&results, &["baseline", "save", "other"]);
    assert_eq!(code, Some(0), "{text}");
    let points = [2, 4].map(|concurrency| record(&results, concurrency, "other").run_id);
    assert!(points[0].is_some() && points[0] == points[1], "{points:?}");
    bench.env("SERVEMARK_RUNS", "1");
    let compared = bench.run(&[&["--baseline", "kept"], &SHORT[..]].concat());
    assert!(compared.succeeded, "{}", compared.text);

    let again = bench.run(&save);
    assert!(again.succeeded, "{}", again.text);
    for concurrency in [2, 4] {
        let ids = ["kept", "new"].map(|name| record(&results, concurrency, name).run_id);
        assert!(ids[0].is_some() && ids[0] == ids[1], "{ids:?}");
    }
    let keys = |files: BTreeMap<PathBuf, _>| Vec::from_iter(files.into_keys());
    assert_eq!(keys(files(&results, "kept")), keys(kept));
}

#[test]
fn a_run_with_a_failed_point_is_not_saved_and_says_so() {
    let server = engine(|_| {});
    let mut bench = two_points(&server);
    let save = [&["--save-baseline", "kept"], &SHORT[..]].concat();
    assert!(bench.run(&save).succeeded);
    let results = bench.results().to_owned();
    let kept = files(&results, "kept");

    let failing = faults("http_500=1");
    bench.env("SERVEMARK_MODEL_ENDPOINTS", &url(&failing));
    let ran = bench.run(&save);
    assert!(!ran.succeeded, "{}", ran.text);
    let note = "baseline kept is not saved, and the earlier one stays: not every point was measured completely";
    assert!(ran.text.contains(note), "{}", ran.text);
    assert_eq!(files(&results, "kept"), kept);

    // Nothing listens there.
    bench
        .env("SERVEMARK_MODEL_ENDPOINTS", "http://127.0.0.1:1")
        .env("SERVEMARK_READY_TIMEOUT", "0.5");
    let ran = bench.run(&save);
    assert!(ran.text.contains(note), "{}", ran.text);
    assert_eq!(files(&results, "kept"), kept);
}

#[test]
fn a_run_that_ends_in_its_second_deployment_leaves_the_baselines_of_both() {
    let (one, two) = (engine(|_| {}), engine(|_| {}));
    let mut bench = two_deployments(&one, &two);
    let ran = bench.run(&[&["--save-baseline", "kept"], &SHORT[..]].concat());
    assert!(ran.succeeded, "{}", ran.text);
    let results = bench.results().to_owned();
    let kept = files(&results, "kept");

    // Half a second a token: its points are not at their end when the signal comes.
    let slow = engine(|options| options.preset.step_time.base_us = 500_000.0);
    let mut bench_of_slow = two_deployments(&one, &slow);
    bench_of_slow.env("CRITERION_HOME", &results.to_string_lossy());
    let executable = bench_of_slow.executable();
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let process = run_until(&bench_of_slow, &executable, "kept", "[3/4] ");
        process.signal(signal);
        let (status, said) = process.end();
        assert!(!status.success(), "{said}");
        for name in ["kept-one", "kept-two"]
            .iter()
            .filter(|_| signal == Signal::SIGTERM)
        {
            let warning = format!(
                "warning: baseline {name} is not saved, and the earlier one stays: SIGTERM ended the run"
            );
            assert!(said.contains(&warning), "{warning}{said}");
        }
        assert_eq!(files(&results, "kept"), kept, "{signal}");
    }
}
