//! `servemark engine` as a user runs it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use servemark::internals::engine::SIMULATED_HEADER;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_servemark"));
    command.arg("engine").args(arguments);
    command
}

fn output(arguments: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command(arguments).output().expect("runs");
    let text = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (status.code(), text.concat())
}

/// A running engine; killed when dropped.
struct Running {
    child: Child,
    urls: Vec<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts an engine of `replicas` and reads its addresses.
fn start(replicas: usize, arguments: &[&str]) -> Running {
    let mut command = command(&["--port", "0", "--replicas", &replicas.to_string()]);
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("runs");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let lines = stdout.lines().take(replicas);
    let urls = lines.map(|line| line.expect("an address")).collect();
    Running { child, urls }
}

#[tokio::test]
async fn it_serves_its_replicas_and_every_answer_says_what_is_simulated() {
    let running = start(
        2,
        &[
            "--preset=llama3-8b-h100",
            "--speed=50",
            "--slowdown=decode=5%",
            "--noise=step=0.1",
            "--faults=cut=0.01",
            "--served-model-name=some/model",
        ],
    );
    assert_eq!(running.urls.len(), 2);
    for url in &running.urls {
        let body = json!({"model": "some/model", "prompt": "x", "max_tokens": 1});
        let request = reqwest::Client::new().post(format!("{url}v1/completions"));
        let response = request.json(&body).send().await.expect("answers");
        assert_eq!(
            response.headers()[SIMULATED_HEADER],
            "llama3-8b-h100; speed=50; slowdown=decode=5%; noise=step=0.1; faults=cut=0.01"
        );
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer["usage"]["completion_tokens"], 1);
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_cleanly() {
    for signal in ["-INT", "-TERM"] {
        let mut running = start(1, &["--preset=instant"]);
        let mut stderr = BufReader::new(running.child.stderr.take().expect("piped"));
        let mut line = String::new();
        // It says so when it listens for signals.
        while !line.contains("Ready") {
            line.clear();
            stderr.read_line(&mut line).expect("reads");
        }
        let id = running.child.id().to_string();
        let kill = Command::new("kill").args([signal, &id]).status();
        assert!(kill.expect("kill runs").success());
        let status = running.child.wait().expect("ends");
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).expect("reads");
        assert_eq!(status.code(), Some(0), "{signal}: {rest}");
    }
}

#[test]
fn a_preset_can_be_printed_changed_and_used() {
    let (code, text) = output(&["--preset=sim-small", "--print-preset"]);
    assert_eq!(code, Some(0), "{text}");
    let mut preset: Value = serde_json::from_str(&text).expect("JSON");
    preset["name"] = json!("mine");
    preset["scheduler"]["max_num_seqs"] = json!(4);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("mine.json");
    std::fs::write(&path, preset.to_string()).expect("writes");
    let argument = format!("--preset={}", path.display());
    let (code, text) = output(&[&argument, "--print-preset"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("\"max_num_seqs\": 4"), "{text}");
    let (code, text) = output(&["--list-presets"]);
    assert_eq!(code, Some(0));
    assert!(
        text.contains("llama3-70b-h100-tp4") && text.contains("NVIDIA"),
        "{text}"
    );
}

#[test]
fn invalid_options_are_explained() {
    for (arguments, words) in [
        (
            &["--preset=gpt-9"][..],
            "there is no engine preset \"gpt-9\"",
        ),
        (&["--preset=none.json"], "none.json"),
        (&["--speed=0"], "speed"),
        (&["--slowdown=much"], "not a percentage"),
        (&["--noise=hum=1"], "no such noise"),
        (&["--faults=cut=2"], "at most 1"),
        (&["--tokenizer=none.json"], "none.json"),
        (&["--port=65535", "--replicas=2"], "port"),
    ] {
        let (code, text) = output(arguments);
        assert_ne!(code, Some(0), "{arguments:?}");
        assert!(text.contains(words), "{arguments:?}: {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}
