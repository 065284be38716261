//! Servers that are started are stopped, whatever happens.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use servemark::internals::config::{ConfigSource, Settings};
use servemark::internals::deployment::Running;

use super::*;

#[test]
fn a_server_that_dies_shows_the_end_of_its_log() {
    let engine = engine("").replace("sim-small", "no-such-preset");
    let mut bench = bench(json!([{"name": "broken", "command": engine}]));
    let begun = Instant::now();
    let ran = bench.run(&SHORT);
    assert!(!ran.succeeded, "{}", ran.text);
    assert!(
        ran.text
            .contains("deployment broken, replica 0 ended with exit status: 2"),
        "{}",
        ran.text
    );
    assert!(
        ran.text
            .contains("there is no engine preset \"no-such-preset\""),
        "{}",
        ran.text
    );
    assert!(
        begun.elapsed() < Duration::from_secs(50),
        "not waited for: {:?}",
        begun.elapsed()
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_dies_under_load_is_reported() {
    // Ends by itself long before the measurement would.
    let engine = format!("timeout 5 {}", engine(""));
    let mut bench = bench(json!([{"name": "mortal", "command": engine}]));
    let ran = bench.run(&["--warm-up-time", "1", "--measurement-time", "60"]);
    assert!(!ran.succeeded, "{}", ran.text);
    let death = "deployment mortal, replica 0 ended with exit status: 124";
    assert!(ran.text.contains(death), "{}", ran.text);
    assert!(ran.text.contains("mortal-0.log:\n  "), "{}", ran.text);
}

#[test]
fn the_others_are_measured_where_one_cannot_be_started() {
    let mut bench = bench(json!([
        {"name": "missing", "command": "no-such-program --port {port}"},
        {"name": "there", "command": engine("")},
    ]));
    let ran = bench.run(&SHORT);
    assert!(!ran.succeeded, "{}", ran.text);
    assert!(
        ran.text.contains("cannot run \"no-such-program\""),
        "{}",
        ran.text
    );
    assert!(ran.text.contains("- missing: not measured"), "{}", ran.text);
    assert!(
        record(&bench, 4, "there")["summary"]["rps"]
            .as_f64()
            .is_some()
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_never_becomes_ready_is_given_up_and_stopped() {
    let (_held, mark) = mark();
    let argument = format!("600.{mark}");
    let mut bench = bench(json!([
        {"name": "mute", "command": format!("sleep {argument}"), "env": {"PORT": "{port}"}},
    ]));
    bench.env("SERVEMARK_READY_TIMEOUT", "1");
    let ran = bench.run(&SHORT);
    assert!(!ran.succeeded, "{}", ran.text);
    assert!(ran.text.contains("not ready after 1.0 s"), "{}", ran.text);
    assert!(
        ran.text.contains("mute-0.log:\n  (the log is empty)"),
        "{}",
        ran.text
    );
    assert!(!runs(&argument), "it is stopped");
}

/// A bench under way: its process, and the ports of its servers once they are ready.
fn under_way(bench: &CargoBench) -> (std::process::Child, Vec<u16>) {
    let mut child = bench
        .command(bench.executable())
        .args(["--bench", "--warm-up-time", "1", "--measurement-time", "60"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the bench runs");
    let errors = child.stderr.take().expect("a pipe");
    let mut ports = Vec::new();
    let mut lines = BufReader::new(errors).lines().map_while(Result::ok);
    for line in lines.by_ref() {
        if let Some(url) = line.strip_prefix("endpoint  http://127.0.0.1:") {
            let port = url.split('/').next().and_then(|port| port.parse().ok());
            ports.push(port.expect("a port"));
        }
        if line.contains("Warming up") || line.contains("[1/1]") {
            break;
        }
    }
    // Its further output must not block it.
    std::thread::spawn(move || lines.for_each(drop));
    (child, ports)
}

fn two_replicas() -> CargoBench {
    bench(json!([{"name": "two", "command": engine(""), "replicas": 2}]))
}

#[test]
fn ctrl_c_stops_the_servers() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (mut child, ports) = under_way(&two_replicas());
        assert_eq!(ports.len(), 2);
        assert!(ports.iter().all(|port| serves(*port)), "{ports:?}");
        kill(Pid::from_raw(child.id() as i32), signal).expect("a signal");
        let status = child.wait().expect("an end");
        assert_eq!(status.code(), Some(128 + signal as i32));
        assert!(
            !ports.iter().any(|port| serves(*port)),
            "{signal}: {ports:?}"
        );
    }
}

/// A bench under way that says what it does, line by line.
fn speaking(
    bench: &CargoBench,
    times: [&str; 2],
) -> (std::process::Child, impl Iterator<Item = String>) {
    let mut child = bench
        .command(bench.executable())
        .args([
            "--bench",
            "--warm-up-time",
            times[0],
            "--measurement-time",
            times[1],
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the bench runs");
    let errors = child.stderr.take().expect("a pipe");
    (child, BufReader::new(errors).lines().map_while(Result::ok))
}

#[test]
fn a_signal_keeps_what_was_measured_of_one_deployment_and_boots_no_other() {
    let bench = bench(json!([
        {"name": "one", "command": engine("")},
        {"name": "two", "command": engine("")},
    ]));
    let (mut child, mut lines) = speaking(&bench, ["0.1", "600"]);
    let url = lines.find_map(|line| {
        Some(
            line.strip_prefix("endpoint  ")?
                .split(' ')
                .next()?
                .to_owned(),
        )
    });
    let url = url.expect("an endpoint");
    assert!(lines.any(|line| line.contains("[1/2] ")));
    let answered = engines::successes_at(&url);
    eventually("it is measured", || {
        engines::successes_at(&url) > answered + 200.0
    });
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).expect("a signal");
    let rest = Vec::from_iter(lines).join("\n");
    assert_eq!(child.wait().expect("an end").code(), Some(143), "{rest}");
    assert!(!rest.contains("deployment two"), "{rest}");
    let one = record(&bench, 4, "one");
    assert_eq!(one["partial"], "SIGTERM ended the run", "{rest}");
    assert!(ports(&one).into_iter().all(|port| !serves(port)), "{rest}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_second_signal_waits_for_no_server() {
    let (_held, mark) = mark();
    let argument = format!("600.{mark}");
    let stubborn = format!("trap '' TERM; exec sleep {argument}");
    let bench = bench(json!([
        {"name": "stubborn", "command": ["sh", "-c", stubborn], "env": {"PORT": "{port}"}},
    ]));
    let (mut child, mut lines) = speaking(&bench, ["1", "1"]);
    assert!(lines.any(|line| line.contains("waiting for 1 endpoint(s)")));
    eventually("it runs", || runs(&argument));
    let begun = Instant::now();
    for (signal, said) in [(Signal::SIGTERM, "SIGTERM: ending"), (Signal::SIGINT, "")] {
        kill(Pid::from_raw(child.id() as i32), signal).expect("a signal");
        assert!(lines.any(|line| line.contains(said)), "{said}");
    }
    assert_eq!(child.wait().expect("an end").code(), Some(130));
    // The server would have had 15 s.
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert!(!runs(&argument), "it is killed");
}

#[cfg(target_os = "linux")]
#[test]
fn servers_end_with_a_harness_that_is_killed() {
    let (mut child, ports) = under_way(&two_replicas());
    child.kill().expect("a kill");
    child.wait().expect("an end");
    eventually("the servers end", || {
        !ports.iter().any(|port| serves(*port))
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_panic_stops_the_servers_and_what_they_have_started() {
    let (_held, mark) = mark();
    let directory = tempfile::tempdir().expect("a temporary directory");
    // A server with a child of its own, which only its group reaches.
    let text = json!({"DEPLOYMENTS": [{
        "name": "parent",
        "command": ["sh", "-c", "sleep 600.$0 & wait", mark.to_string()],
        "env": {"PORT": "{port}"},
    }]});
    let config = Settings::from_parts(ConfigSource::BuiltIn, &text.to_string(), &|_| None);
    let config = config.expect("valid");
    let start = |logs: &Path| Running::start(&config.deployments[0], None, logs);
    let argument = format!("600.{mark}");
    let panicked = std::panic::catch_unwind(|| {
        let _running = start(directory.path())
            .expect("started")
            .expect("a command");
        eventually("it runs", || runs(&argument));
        panic!("in the middle of a measurement");
    });
    assert!(panicked.is_err());
    assert!(!runs(&argument), "it is stopped");
}

#[cfg(unix)]
#[test]
fn each_replica_sees_its_own_gpus_unless_the_entry_chooses_itself() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let show = "echo seen=$CUDA_VISIBLE_DEVICES; sleep 600";
    let command = json!(["sh", "-c", show, "{port}"]);
    let text = json!({"DEPLOYMENTS": [
        {"name": "counted", "replicas": 2, "gpus_per_replica": 2, "command": command},
        {"name": "uncounted", "replicas": 2, "command": command},
        {"name": "own", "replicas": 2, "command": command, "env": {"CUDA_VISIBLE_DEVICES": "7"}},
    ]});
    let config = Settings::from_parts(ConfigSource::BuiltIn, &text.to_string(), &|_| None);
    let config = config.expect("valid");
    let expected = [["0,1", "2,3"], ["0", "1"], ["7", "7"]];
    for (deployment, expected) in config.deployments.iter().zip(expected) {
        let running = Running::start(deployment, None, directory.path()).expect("started");
        for (at, gpus) in expected.iter().enumerate() {
            let log = directory
                .path()
                .join(format!("{}-{at}.log", deployment.name));
            let line = format!("seen={gpus}\n");
            eventually(&line, || {
                std::fs::read_to_string(&log).is_ok_and(|text| text == line)
            });
        }
        drop(running);
    }
}
