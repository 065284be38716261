//! Errors reported before any server is contacted.

use super::cargo_bench::CargoBench;
use super::engines::engine;
use super::{SHORT, two_points};

/// Nothing listens there: a run that reached its servers would say so.
fn without_server() -> CargoBench {
    let mut bench = CargoBench::one_point();
    bench.env("SERVEMARK_MODEL_ENDPOINTS", "http://127.0.0.1:1");
    bench
}

#[test]
fn a_missing_baseline_is_reported_first() {
    for (options, words) in [
        (
            &["--baseline", "v0"][..],
            "--baseline v0: there is no baseline v0 of chat_throughput",
        ),
        (
            &["--baseline-lenient", "v0"],
            "--baseline-lenient v0: there is no baseline v0",
        ),
        (
            &["--load-baseline", "v0", "--baseline", "v1"],
            "--load-baseline v0: there is no baseline v0",
        ),
    ] {
        let ran = without_server().run(&[options, &SHORT].concat());
        assert!(
            !ran.succeeded && ran.text.contains("exit status: 2"),
            "{}",
            ran.text
        );
        assert!(ran.text.contains(words), "{words}: {}", ran.text);
        assert!(!ran.text.contains("waiting for"), "{}", ran.text);
    }
}

#[test]
fn the_baselines_that_there_are_are_named_and_half_a_one_is_refused() {
    let server = engine(|_| {});
    let mut bench = two_points(&server);
    let saved = bench.run(&[&["--save-baseline", "v1", "c=2"], &SHORT[..]].concat());
    assert!(saved.succeeded, "{}", saved.text);
    let missing = bench.run(&[&["--baseline", "v0"], &SHORT[..]].concat());
    assert!(missing.text.contains("there are: v1\n"), "{}", missing.text);

    let half = bench.run(&[&["--baseline", "v1"], &SHORT[..]].concat());
    assert!(!half.succeeded, "{}", half.text);
    assert!(
        half.text
            .contains("the baseline lacks 2 of the 4 benchmarks selected")
            && half
                .text
                .contains("--baseline-lenient v1 compares what it has"),
        "{}",
        half.text
    );
    for options in [
        &["--baseline-lenient", "v1"][..],
        &["--baseline", "v1", "c=2"],
    ] {
        let ran = bench.run(&[options, &SHORT].concat());
        assert!(ran.succeeded, "{options:?}: {}", ran.text);
    }
}

#[test]
fn a_filter_that_matches_nothing_is_reported_and_is_not_a_failure() {
    for bench in ["chat_throughput", "deployments"] {
        let ran = CargoBench::new(bench).run(&["of-another-bench"]);
        assert!(ran.succeeded, "{}", ran.text);
        let words = format!("no benchmark of {bench} matches \"of-another-bench\"");
        assert!(ran.text.contains(&words), "{}", ran.text);
        assert!(
            !ran.text.contains("SIMULATED"),
            "nothing is booted: {}",
            ran.text
        );
    }
    let ran = without_server().run(&["rps("]);
    assert!(
        !ran.succeeded && !ran.text.contains("panicked"),
        "{}",
        ran.text
    );
    assert!(
        ran.text.contains("\"rps(\" is not a regular expression"),
        "{}",
        ran.text
    );
}

#[test]
fn a_name_that_cannot_be_a_baselines_is_refused_before_the_load() {
    for name in ["a/b", "new", "..", "a,b"] {
        let ran = without_server().run(&[&["--save-baseline", name], &SHORT[..]].concat());
        assert!(!ran.succeeded, "{}", ran.text);
        let words = format!("{name:?} is not a valid name of a baseline");
        assert!(ran.text.contains(&words), "{name}: {}", ran.text);
        assert!(!ran.text.contains("waiting for"), "{}", ran.text);
    }
}
