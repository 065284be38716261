//! Two versions of a server from `cargo bench` to the verdict, as a user goes about it.

mod cargo_bench;
mod records;
mod slowed;

use cargo_bench::CargoBench;
use records::servemark;
use servemark::internals::engine::Engine;
use slowed::slowed;

const SHORT: [&str; 6] = [
    "--sample-size",
    "10",
    "--measurement-time",
    "1",
    "--warm-up-time",
    "0.2",
];

#[test]
fn a_slower_version_is_found_out_and_its_baseline_carried() {
    let mut bench = CargoBench::one_point();
    let mut measure = |engine: &Engine, args: &[&str]| {
        bench.env("SERVEMARK_MODEL_ENDPOINTS", engine.urls()[0].as_str());
        let ran = bench.run(&[&SHORT[..], args].concat());
        assert!(ran.succeeded, "{}", ran.text);
        ran
    };
    let before = slowed(1.0);
    let ran = measure(&before, &[]);
    let name = "vllm-0.32.0+servemark.simulated";
    let offer = format!("Keep this run: cargo run --release -- baseline save {name}");
    assert!(ran.text.contains(&offer), "{}", ran.text);
    let results = ran.results().to_owned();
    let succeed = |arguments: &[&str]| {
        let (code, text) = servemark(&results, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
        text
    };
    succeed(&["baseline", "save"]);
    let latest = measure(&slowed(1.4), &["--baseline", name]);
    assert!(
        latest.text.contains("Performance has regressed"),
        "{}",
        latest.text
    );
    assert!(
        !ran.text
            .contains("Keep this run: cargo run --release -- baseline save NAME")
    );

    let compared = succeed(&["compare", name, "new"]);
    println!("{compared}");
    for figure in ["output tok/s", "E2EL P50"] {
        let row = compared.lines().find(|line| line.contains(figure));
        assert!(
            row.is_some_and(|row| row.contains("regressed")),
            "{compared}"
        );
    }
    // Where the machine was too busy for the client, the regression is not sure.
    let bound = latest.record()["self_check"]["client_bound"].clone();
    let earlier = ran.text.contains("client-bound:");
    let expected = match bound.as_array().is_none_or(Vec::is_empty) && !earlier {
        true => 1,
        false => 2,
    };
    let (code, text) = servemark(&results, &["gate", "--baseline", name]);
    println!("{text}");
    assert_eq!(code, Some(expected), "{text}");

    // On another machine, Criterion has the baseline, too.
    succeed(&["baseline", "export", "kept.tar.gz", "--name", name]);
    succeed(&["baseline", "delete", name]);
    succeed(&["baseline", "import", "kept.tar.gz"]);
    let again = measure(&before, &["--baseline", name]);
    assert!(!again.text.contains("must exist before"), "{}", again.text);
}
