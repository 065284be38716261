//! servemark as a dev-dependency of somebody else's crate.

mod cargo_bench;

use std::fs;

use cargo_bench::CargoBench;

const BENCH: &str = r#"use servemark::{Bench, Workload};

fn main() -> std::process::ExitCode {
    let questions = Workload::questions([
        ("hello", "What is a good name for a grey cat?"),
        ("sum", "What is the sum of all numbers from one to a hundred?"),
    ]);
    Bench::new("mine", questions).run()
}
"#;

#[test]
fn a_ten_line_bench_of_another_crate_runs_against_the_embedded_engine() {
    let package = tempfile::tempdir().expect("a temporary directory");
    let servemark = env!("CARGO_MANIFEST_DIR");
    let manifest = format!(
        "[package]\nname = \"downstream\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dev-dependencies]\nservemark = {{ path = {servemark:?} }}\n\n\
         [[bench]]\nname = \"mine\"\nharness = false\n\n[workspace]\n"
    );
    fs::create_dir_all(package.path().join("src")).expect("a writable directory");
    fs::create_dir_all(package.path().join("benches")).expect("a writable directory");
    fs::write(package.path().join("Cargo.toml"), manifest).expect("a writable directory");
    fs::write(package.path().join("src/lib.rs"), "").expect("a writable directory");
    fs::write(package.path().join("benches/mine.rs"), BENCH).expect("a writable directory");
    // The same versions as here, so that nothing is fetched and little is built.
    fs::copy(
        format!("{servemark}/Cargo.lock"),
        package.path().join("Cargo.lock"),
    )
    .expect("a lock file");

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
