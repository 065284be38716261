//! The run record's published schema: it is the one that the code has, documents every field, and fits what
//! is written.

mod engines;
mod records;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use records::{Results, Run};
use serde_json::{Value, json};
use servemark::RunRecord;

fn document(name: &str) -> String {
    let path = format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn published() -> Value {
    serde_json::from_str(&document("record.schema.json")).expect("JSON")
}

fn written() -> Value {
    serde_json::to_value(Run::new(1, "").record("0.32.0")).expect("JSON")
}

/// Returns the errors of a record by the published schema.
fn faults(record: &Value) -> Vec<String> {
    let schema = jsonschema::validator_for(&published()).expect("a sound schema");
    let faults = schema.iter_errors(record);
    faults
        .map(|fault| format!("{}: {}", fault.instance_path(), fault.masked()))
        .collect()
}

#[test]
fn the_published_schema_is_the_codes() {
    assert!(
        published() == RunRecord::json_schema(),
        "write it anew: servemark results --schema > docs/record.schema.json"
    );
    let printed = Results::new().succeed(&["results", "--schema"]);
    assert!(
        printed == document("record.schema.json"),
        "printed as published"
    );
}

#[test]
fn records_fit_it_and_broken_ones_do_not() {
    assert_eq!(faults(&written()), Vec::<String>::new());
    let breaks: [(&str, Value); 6] = [
        ("/schema_version", json!(1)),
        ("/summary/rps", json!("fast")),
        ("/windows/0/start_ns", json!(-1)),
        ("/requests/output_source/0", json!("nobody")),
        ("/endpoints/0", json!({"url": "http://a"})),
        ("/requests/content_us/0/0", json!(0.5)),
    ];
    for (place, wrong) in breaks {
        let mut record = written();
        *record.pointer_mut(place).expect(place) = wrong;
        let faults = faults(&record);
        assert!(!faults.is_empty(), "{place} may be wrong unnoticed");
        // The fault of a field that may be null is its object's.
        let at = faults[0].split(':').next().unwrap_or_default();
        assert!(
            !at.is_empty() && place.starts_with(at),
            "{place}: {faults:?}"
        );
    }
}

#[test]
fn a_real_run_with_failures_and_safety_checks_fits_it() {
    let results = Results::new();
    let server = engines::faults("http_503=0.3,no_usage=0.3");
    let url = server.urls()[0].to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_servemark"))
        .args([
            "run",
            "--endpoint",
            &url,
            "--concurrency",
            "8",
            "--max-tokens",
            "4",
        ])
        .args(["--duration", "1", "--warm-up", "0.1", "--format", "json"])
        .current_dir(results.path())
        .env("CRITERION_HOME", results.path())
        .env("SERVEMARK_SAFE_CHECK", "true")
        .env("SERVEMARK_SAFETY_BACKEND", "simulated")
        .env("SERVEMARK_SAFETY_DELAY_MS", "[1, 2]")
        .output()
        .expect("the command runs");
    let record: Value = serde_json::from_slice(&output.stdout).expect("a record");
    assert!(
        record["failures"]
            .as_array()
            .is_some_and(|failures| !failures.is_empty())
    );
    assert!(record["summary"]["safety_ms"]["mean"].is_number());
    assert!(record["server_metrics"][0]["delta"].is_object());
    assert_eq!(faults(&record), Vec::<String>::new());
}

#[test]
fn older_and_newer_records_of_the_same_version_fit_it() {
    let mut record = written();
    let fields = record.as_object_mut().expect("an object");
    fields.remove("api").expect("a field that came later");
    fields.insert("a field of a later version".to_owned(), json!(1));
    let without_later_figures = |latency: &str| {
        let figures = &mut record["summary"][latency];
        let figures = figures.as_object_mut().expect("a latency");
        for figure in ["count", "p95", "p99_9"] {
            figures.remove(figure).expect("a figure that came later");
        }
    };
    let latencies = ["e2el_ms", "ttft_ms", "tpot_ms", "itl_ms"];
    latencies.into_iter().for_each(without_later_figures);
    assert_eq!(faults(&record), Vec::<String>::new());
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("older.json");
    fs::write(&path, record.to_string()).expect("written");
    let read = RunRecord::read(&path).expect("an older record");
    let written: RunRecord = serde_json::from_value(written()).expect("a record");
    let e2el = |record: &RunRecord| record.summary.as_ref().and_then(|s| s.e2el_ms);
    assert_eq!(e2el(&read), e2el(&written), "computed again");
}

/// The names of all fields in a schema.
fn names(schema: &Value, found: &mut BTreeSet<String>) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        found.extend(properties.keys().cloned());
    }
    match schema {
        Value::Object(object) => object.values().for_each(|value| names(value, found)),
        Value::Array(array) => array.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

#[test]
fn every_field_is_documented() {
    let text = document("record.md");
    let mut fields = BTreeSet::new();
    names(&published(), &mut fields);
    assert!(fields.len() > 80, "{fields:?}");
    let missing = fields
        .iter()
        .filter(|field| !text.contains(&format!("`{field}`")));
    assert_eq!(Vec::from_iter(missing), Vec::<&String>::new());
}
