//! `servemark check` as a user runs it.

use std::process::Command;
use std::sync::Arc;

use servemark::internals::engine::{Engine, EngineOptions, Faults, Preset};
use servemark::internals::prompt::shipped_tokenizer;

/// Runs the command; its exit code and what it printed.
fn check(endpoints: &str) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new(env!("CARGO_BIN_EXE_servemark"))
        .arg("check")
        .current_dir(directory.path())
        .env("SERVEMARK_MODEL_ENDPOINTS", endpoints)
        .output()
        .expect("the command runs");
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    (output.status.code(), text.concat())
}

fn engine(faults: Faults) -> Engine {
    let preset = Preset::named("sim-small").expect("a shipped preset");
    let tokenizer = Arc::new(shipped_tokenizer().expect("a shipped tokenizer"));
    let mut options = EngineOptions::new(preset, tokenizer);
    options.faults = faults;
    Engine::start(options).expect("an engine")
}

#[test]
fn without_endpoints_the_embedded_engine_is_ready_and_called_simulated() {
    let (code, text) = check("");
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("simulated") && text.contains("agrees with the server"),
        "{text}"
    );
    assert_eq!(text.matches("| yes ").count(), 2, "{text}");
}

#[test]
fn endpoints_that_are_not_ready_are_explained() {
    let good = engine(Faults::default());
    let broken = engine("http_500=1".parse().expect("faults"));
    let endpoints = format!("{},{},http://127.0.0.1:1", good.urls()[0], broken.urls()[0]);
    let (code, text) = check(&endpoints);
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(text.matches("| yes ").count(), 1, "{text}");
    assert!(text.contains("connection refused"), "{text}");
    assert!(text.contains("HTTP 500"), "{text}");
}

#[test]
fn an_endpoint_may_be_given_as_an_option() {
    let good = engine(Faults::default());
    let output = Command::new(env!("CARGO_BIN_EXE_servemark"))
        .args(["check", "--endpoint", good.urls()[0].as_str()])
        .env("SERVEMARK_MODEL_ENDPOINTS", "http://127.0.0.1:1")
        .output()
        .expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(text.matches("| yes ").count(), 1, "{text}");
    assert!(!text.contains('\u{1b}'), "no colours in a pipe: {text}");
}
