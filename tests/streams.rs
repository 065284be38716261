//! Output to a closed pipe or a full disk never loses a result or causes a panic.
#![cfg(target_os = "linux")]

#[path = "cargo_bench/mod.rs"]
mod cargo_bench;

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use cargo_bench::CargoBench;

const SHORT: [&str; 4] = ["--warm-up-time", "0.2", "--measurement-time", "1"];

/// A standard output whose reader has gone.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// A standard output on a device without space.
fn full() -> Stdio {
    let device = OpenOptions::new().write(true).open("/dev/full");
    device.expect("/dev/full").into()
}

fn servemark(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_servemark"));
    command
        .args(arguments)
        .current_dir(directory)
        .env("CRITERION_HOME", directory);
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("SERVEMARK_")) {
        command.env_remove(key);
    }
    command
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const QUICK_RUN: [&str; 11] = [
    "run",
    "--concurrency",
    "2",
    "--max-tokens",
    "4",
    "--duration",
    "0.3",
    "--warm-up",
    "0.1",
    "--windows",
    "2",
];

/// Commands that print and need nothing, of every kind: by clap, by our own hand, at once, after work.
fn printing() -> Vec<Vec<&'static str>> {
    let plan = "plan --model-params 8B --gpus 1 --gpu-memory 80GB";
    let lines = [
        "--help",
        "--version",
        "help run",
        "run --help",
        "completions bash",
        "man",
        plan,
        "engine --list-presets",
        "engine --print-preset",
        "results --schema",
        "results",
        "report",
        "baseline list",
        "baseline show new",
        "baseline save kept",
        "compare kept new --only-changes",
        "gate --baseline kept",
        "check",
    ];
    lines.iter().map(|line| line.split(' ').collect()).collect()
}

/// A directory with a measured run.
fn measured() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let ran = servemark(directory.path(), &QUICK_RUN)
        .output()
        .expect("it runs");
    assert!(ran.status.success(), "{}", errors(&ran));
    directory
}

#[test]
fn a_closed_pipe_changes_neither_the_exit_code_nor_the_messages() {
    let directory = measured();
    for arguments in printing() {
        let read = servemark(directory.path(), &arguments)
            .output()
            .expect("it runs");
        if arguments == ["baseline", "save", "kept"] {
            let deleted = servemark(directory.path(), &["baseline", "delete", "kept"]).output();
            assert!(deleted.expect("it runs").status.success());
        }
        let unread = servemark(directory.path(), &arguments)
            .stdout(closed())
            .output();
        let unread = unread.expect("it runs");
        assert_eq!(unread.status.code(), read.status.code(), "{arguments:?}");
        assert_eq!(errors(&unread), errors(&read), "{arguments:?}");
    }
}

#[test]
fn a_full_device_is_one_line_and_an_exit_code() {
    let directory = measured();
    for arguments in printing() {
        let ran = servemark(directory.path(), &arguments)
            .stdout(full())
            .output();
        let ran = ran.expect("it runs");
        assert_eq!(
            ran.status.code(),
            Some(2),
            "{arguments:?}: {}",
            errors(&ran)
        );
        let said = errors(&ran);
        assert_eq!(
            said.matches("No space left on device").count(),
            1,
            "{arguments:?}: {said}"
        );
        assert!(said.ends_with('\n') && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_run_whose_reader_goes_is_measured_and_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    // As `servemark run 2>&1 | head -1`: both streams lead to the closed pipe.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = servemark(directory.path(), &QUICK_RUN)
        .stdout(writer.try_clone().expect("a second end"))
        .stderr(writer)
        .status();
    assert_eq!(status.expect("it runs").code(), Some(0));
    let record = directory.path().join("servemark/run/100/c=2/new.json");
    assert!(record.is_file());
}

#[test]
fn an_engine_says_at_once_that_it_cannot_print_its_address() {
    let directory = tempfile::tempdir().expect("a directory");
    let arguments = ["engine", "--port", "0"];
    let ran = servemark(directory.path(), &arguments)
        .stdout(full())
        .output();
    let ran = ran.expect("it ends");
    assert_eq!(ran.status.code(), Some(2), "{}", errors(&ran));
    assert!(
        errors(&ran).contains("the addresses cannot be printed"),
        "{}",
        errors(&ran)
    );
}

#[test]
fn streams_to_one_place_keep_their_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("log");
    let file = std::fs::File::create(&log).expect("a file");
    let status = servemark(directory.path(), &["check"])
        .stdout(file.try_clone().expect("a second end"))
        .stderr(file)
        .status();
    assert!(status.expect("it runs").success());
    let log = std::fs::read_to_string(&log).expect("a log");
    assert!(log.starts_with("configuration: "), "{log}");
}

#[test]
fn a_bench_without_a_reader_is_measured_and_kept() {
    let mut bench = CargoBench::one_point();
    bench.env("SERVEMARK_MAX_NEW_TOKENS", "4");
    let executable = bench.executable();
    let run = |stdout: Stdio| {
        let mut command = bench.command(&executable);
        command.arg("--bench").args(SHORT).stdout(stdout);
        command
            .stderr(Stdio::piped())
            .output()
            .expect("the bench runs")
    };
    let unread = run(closed());
    assert_eq!(unread.status.code(), Some(0), "{}", errors(&unread));
    assert!(!errors(&unread).contains("panicked"), "{}", errors(&unread));
    let at = |path: &str| bench.results().join(path);
    assert!(at("servemark/chat_throughput/25/c=4/new.json").is_file());
    assert!(
        at("chat_throughput_25_e2el/c=4/new/estimates.json").is_file(),
        "Criterion's, too"
    );

    let full = run(full());
    assert_eq!(full.status.code(), Some(2), "{}", errors(&full));
    assert_eq!(
        errors(&full).matches("No space left on device").count(),
        1,
        "{}",
        errors(&full)
    );
}

#[test]
fn unwritable_output_is_reported_before_the_load() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("file"), "").expect("written");
    for output in [
        &["--output", "file/below.txt"][..],
        &["--output", "."],
        &["--format", "vllm", "--output", "file"],
        &["--format", "csv", "--output", "file/below.csv"],
    ] {
        let arguments = [&QUICK_RUN[..], output].concat();
        said_before_the_load(
            &mut servemark(directory.path(), &arguments),
            "--output cannot be written",
        );
    }
    let mut unwritable = servemark(directory.path(), &QUICK_RUN);
    unwritable.env("CRITERION_HOME", directory.path().join("file"));
    said_before_the_load(&mut unwritable, "its figures are only shown");

    let home = directory.path().join("file").display().to_string();
    for bench in ["chat_throughput", "deployments"] {
        let mut bench = CargoBench::new(bench);
        let ran = bench.env("CRITERION_HOME", &home).run(&SHORT);
        assert!(!ran.succeeded, "{}", ran.text);
        assert!(ran.text.contains("nothing was measured"), "{}", ran.text);
    }
}

#[test]
fn a_disk_that_is_too_small_is_reported_before_the_load() {
    for bench in ["chat_throughput", "deployments"] {
        let mut bench = CargoBench::new(bench);
        // Records of more bytes than any disk has.
        let ran = bench
            .env("SERVEMARK_CONCURRENT_LEVELS", "100000")
            .env("SERVEMARK_MAX_NEW_TOKENS", "1000000")
            .run(&[&SHORT[..], &["--sample-size", "10000"]].concat());
        assert!(!ran.succeeded, "{}", ran.text);
        assert!(
            ran.text.contains("the records of this run take")
                && ran.text.contains("CRITERION_HOME"),
            "{}",
            ran.text
        );
        assert!(
            !ran.text.contains("SIMULATED"),
            "nothing is booted: {}",
            ran.text
        );
    }
}

/// A run says so first, and shows its table all the same.
fn said_before_the_load(run: &mut Command, words: &str) {
    let ran = run.output().expect("it runs");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), errors(&ran));
    assert!(!ran.status.success(), "{err}");
    assert!(out.contains("## run"), "the table: {out}{err}");
    let (before, _) = err.split_once("[1/1]").expect("a load");
    assert!(before.contains(words), "{err}");
}

#[test]
fn a_run_whose_target_fails_afterwards_shows_its_table() {
    let directory = tempfile::tempdir().expect("a directory");
    for format in [&[][..], &["--format", "csv"]] {
        let arguments = [&QUICK_RUN[..], &["--output", "/dev/full"], format].concat();
        let ran = servemark(directory.path(), &arguments)
            .output()
            .expect("it runs");
        let out = String::from_utf8_lossy(&ran.stdout);
        assert!(out.contains("tok/s"), "{out}");
        assert_eq!(ran.status.code(), Some(2), "{}", errors(&ran));
        assert!(errors(&ran).contains("/dev/full"), "{}", errors(&ran));
    }
}
