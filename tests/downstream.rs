//! servemark as a dev-dependency of somebody else's crate.

mod cargo_bench;
mod engines;

use std::fs;

use cargo_bench::CargoBench;
use engines::engine;
use servemark::RunRecord;
use tempfile::TempDir;

const BENCH: &str = r#"use servemark::{
    Bench, Config, Run, RunError, RunRecord, RunResult, Sampling, Workload, record,
};

fn main() -> std::process::ExitCode {
    let questions = Workload::questions([
        ("hello", "What is a good name for a grey cat?"),
        ("sum", "What is the sum of all numbers from one to a hundred?"),
    ]);
    Bench::new("mine", questions).config(Config::new().set("SEED", 42)).run()
}

/// A program that measures compiles against the public names.
#[allow(dead_code)]
fn measure() -> Result<f64, RunError> {
    let sampling = Sampling { windows: 4, ..Sampling::DEFAULT };
    let run = Run::new(Workload::chat()).config(Config::new()).sampling(sampling);
    let result: RunResult = run.measure()?;
    let rate = |record: &RunRecord| -> Option<f64> {
        let summary: &record::Summary = record.summary.as_ref()?;
        let level: record::Level = record.level;
        let p99 = |ttft: &record::Distribution| ttft.p99;
        println!("{level}: {:?}", summary.ttft_ms.as_ref().map(p99));
        summary.output_tok_s
    };
    Ok(result.records.iter().filter_map(rate).sum())
}

/// A record is read without a run.
#[allow(dead_code)]
fn read(path: &std::path::Path) -> Result<String, record::RecordError> {
    Ok(RunRecord::read(path)?.model())
}
"#;

/// Two benches in one process, each with servers of its own: they need no feature.
const TWO_BENCHES: &str = r#"use servemark::{Bench, Config, Workload};

fn main() {
    for name in ["first", "second"] {
        let question = Workload::questions([("cat", "What is a good name for a grey cat?")]);
        let url = std::env::var(name).expect("an address");
        let config = Config::new().set("MODEL_ENDPOINTS", [url]);
        Bench::new(name, question).config(config).run();
    }
}
"#;

/// A crate of its own with a bench `mine`. Crates of one name would share what cargo builds of them.
///
/// It has servemark's own development dependencies and profile besides: cargo then takes nearly all crates from the
/// build of these tests, which have the same features there.
fn package(name: &str, default_features: bool, bench: &str) -> TempDir {
    let package = tempfile::tempdir().expect("a temporary directory");
    let servemark = env!("CARGO_MANIFEST_DIR");
    let own = fs::read_to_string(format!("{servemark}/Cargo.toml")).expect("a manifest");
    let section = |name: &str| {
        let (_, rest) = own.split_once(name).expect("a section of the manifest");
        rest.split("\n[").next().expect("its lines").to_owned()
    };
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dev-dependencies]{}\nservemark = {{ path = {servemark:?}, default-features = {default_features} }}\n\n\
         [target.'cfg(unix)'.dev-dependencies]{}\n\n\
         [profile.dev]{}\n\n\
         [[bench]]\nname = \"mine\"\nharness = false\n\n[workspace]\n",
        section("\n[dev-dependencies]"),
        section("\n[target.'cfg(unix)'.dev-dependencies]"),
        section("\n[profile.dev]"),
    );
    fs::create_dir_all(package.path().join("src")).expect("a writable directory");
    fs::create_dir_all(package.path().join("benches")).expect("a writable directory");
    fs::write(package.path().join("Cargo.toml"), manifest).expect("a writable directory");
    fs::write(package.path().join("src/lib.rs"), "").expect("a writable directory");
    fs::write(package.path().join("benches/mine.rs"), bench).expect("a writable directory");
    // The same versions as here, so that nothing is fetched and little is built.
    fs::copy(
        format!("{servemark}/Cargo.lock"),
        package.path().join("Cargo.lock"),
    )
    .expect("a lock file");
    package
}

#[test]
fn two_benches_of_a_process_measure_each_its_own_servers() {
    let package = package("two-benches", false, TWO_BENCHES);
    let servers = [engine(|_| {}), engine(|_| {})];
    let urls = servers
        .each_ref()
        .map(|server| server.urls()[0].to_string());
    let mut bench = CargoBench::in_package("mine", package.path());
    let ran = bench
        .env("CARGO_TARGET_DIR", &cargo_bench::target_directory())
        .env("SERVEMARK_CONCURRENT_LEVELS", "2")
        .env("SERVEMARK_MAX_NEW_TOKENS", "4")
        .env("first", &urls[0])
        .env("second", &urls[1])
        .run(&[
            "--noplot",
            "--warm-up-time",
            "0.1",
            "--measurement-time",
            "0.3",
        ]);
    assert!(ran.succeeded, "{}", ran.text);
    let records = ["first", "second"].map(|name| {
        let path = format!("servemark/{name}/cat/c=2/new.json");
        RunRecord::read(&ran.results().join(path)).unwrap_or_else(|e| panic!("{e}: {}", ran.text))
    });
    for (record, url) in records.iter().zip(&urls) {
        assert_eq!(record.endpoints[0].url, *url, "{}", ran.text);
    }
    assert_ne!(records[0].run_id, records[1].run_id);
}

#[test]
fn a_ten_line_bench_of_another_crate_runs_against_the_embedded_engine() {
    let package = package("downstream", true, BENCH);

    let mut bench = CargoBench::in_package("mine", package.path());
    let ran = bench
        .env("CARGO_TARGET_DIR", &cargo_bench::target_directory())
        .env("SERVEMARK_CONCURRENT_LEVELS", "1,3")
        .run(&["--test"]);
    assert!(ran.succeeded, "{}", ran.text);
    for id in ["hello/output_tok_s/c=1", "hello/rps/c=3", "sum/rps/c=1"] {
        assert!(
            ran.text.contains(&format!("Testing mine/{id}\nSuccess")),
            "{}",
            ran.text
        );
    }
    assert!(ran.text.contains("SIMULATED"), "{}", ran.text);
}
