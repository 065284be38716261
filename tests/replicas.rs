//! Replicas that die, come back, freeze or count no more tokens while they are measured: processes of their own.
#![cfg(unix)]

mod engines;
mod replica;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use replica::{Replica, signal};
use servemark::RunRecord;
use servemark::internals::metrics::{Outage, OutageKind, Summary};
use tempfile::TempDir;

/// `servemark run` on replicas, while something happens to them.
struct Run {
    here: TempDir,
    child: Child,
    begun: Instant,
}

/// The result.
struct Ran {
    here: TempDir,
    code: Option<i32>,
    /// The output, errors last.
    text: String,
    took: Duration,
}

impl Run {
    fn start(replicas: &[&Replica], arguments: &[&str], env: &[(&str, &str)]) -> Run {
        let here = tempfile::tempdir().expect("a folder");
        let mut command = servemark(here.path());
        command.args(["run", "--concurrency", "6", "--prompt", "25"]);
        for replica in replicas {
            command.args(["--endpoint", &replica.url]);
        }
        let child = command
            .args(["--max-tokens", "8", "--warm-up", "0.1"])
            .args(arguments)
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let begun = Instant::now();
        Run { here, child, begun }
    }

    /// Ends it as Ctrl-C does, with its table.
    fn interrupt(self) -> Ran {
        signal(&self.child, Signal::SIGINT);
        self.end()
    }

    fn end(self) -> Ran {
        let Output {
            status,
            stdout,
            stderr,
        } = self.child.wait_with_output().expect("it ends");
        let text = [stdout, stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
        Ran {
            here: self.here,
            code: status.code(),
            text: text.concat(),
            took: self.begun.elapsed(),
        }
    }
}

impl Ran {
    fn summary(&self) -> Summary {
        let record = self.here.path().join("servemark/run/25/c=6/new.json");
        let record = RunRecord::read(&record).expect("a record");
        record.summary.expect("figures")
    }

    /// The page of the only point, as `servemark report` writes it.
    fn pages(&self) -> String {
        let reported = servemark(self.here.path()).arg("report").output();
        let reported = reported.expect("the command runs");
        assert!(reported.status.success(), "{reported:?}");
        let mut text = String::new();
        let mut folders = vec![self.here.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path
                    .extension()
                    .is_some_and(|extension| extension == "html")
                {
                    text += &std::fs::read_to_string(path).expect("a page");
                }
            }
        }
        text
    }
}

fn servemark(here: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_servemark"));
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("SERVEMARK_")) {
        command.env_remove(key);
    }
    command
        .current_dir(here)
        .env("CRITERION_HOME", here)
        .env("HF_HUB_CACHE", here)
        .env_remove("OPENAI_API_KEY");
    command
}

/// Long enough for whatever is to happen; a signal ends it.
const LONG: [&str; 4] = ["--duration", "300", "--windows", "5"];

#[test]
fn a_replica_that_dies_and_comes_back_is_named_with_when_and_how_much() {
    let [first, mut second, third] = [(); 3].map(|()| Replica::start());
    let mut run = Run::start(&[&first, &second, &third], &LONG, &[]);
    second.wait_for_more(20.0, &mut run.child);
    second.replace(|| first.wait_for_more(20.0, &mut run.child));
    second.wait_for_more(5.0, &mut run.child);
    let ran = run.interrupt();
    assert_eq!(ran.code, Some(130), "{}", ran.text);

    let summary = ran.summary();
    let [outage] = &summary.outages[..] else {
        panic!("one outage: {:?}: {}", summary.outages, ran.text);
    };
    assert_eq!((outage.endpoint, &outage.url), (1, &second.url));
    assert!(
        outage.recovered && outage.from_s < outage.to_s,
        "{outage:?}"
    );
    let OutageKind::Failed { requests, causes } = &outage.kind else {
        panic!("{outage:?}");
    };
    assert_eq!(*requests, summary.failed(), "all failures of the run");
    assert!(
        causes.iter().any(|(cause, _)| cause == "connection failed"),
        "{causes:?}"
    );

    let said = outage.to_string();
    assert!(said.contains("; it answers again"), "{said}");
    assert!(
        ran.text.contains(&format!("- run/25 c=6: {said}")),
        "{said}: {}",
        ran.text
    );
    assert!(ran.pages().contains(&said), "{said}");
}

#[test]
fn a_replica_that_freezes_for_a_while_is_named_and_the_run_goes_on() {
    let [first, second, third] = [(); 3].map(|()| Replica::start());
    let mut run = Run::start(&[&first, &second, &third], &LONG, &[]);
    second.wait_for_more(20.0, &mut run.child);
    signal(&second.child, Signal::SIGSTOP);
    // So long is the fault itself.
    std::thread::sleep(Duration::from_secs(2));
    signal(&second.child, Signal::SIGCONT);
    second.wait_for_more(5.0, &mut run.child);
    let ran = run.interrupt();
    assert_eq!(ran.code, Some(130), "{}", ran.text);

    let summary = ran.summary();
    let [outage] = &summary.outages[..] else {
        panic!("one outage: {:?}: {}", summary.outages, ran.text);
    };
    assert_eq!((outage.endpoint, outage.recovered), (1, true), "{outage:?}");
    let OutageKind::Silent { in_flight } = outage.kind else {
        panic!("{outage:?}");
    };
    // With the endpoints in turn every request ends up where nothing is answered.
    assert!((1..=6).contains(&in_flight), "{outage:?}");
    let silent_s = outage.to_s - outage.from_s;
    assert!((1.5..6.0).contains(&silent_s), "{outage:?}");
    assert_eq!(summary.failed(), 0, "{}", ran.text);
    assert!(ran.text.contains(&outage.to_string()), "{}", ran.text);
}

#[test]
fn a_replica_that_freezes_for_good_does_not_stretch_the_point_without_bound() {
    let [first, second, third] = [(); 3].map(|()| Replica::start());
    let arguments = ["--duration", "1", "--windows", "20"];
    let timeout = [("SERVEMARK_REQUEST_TIMEOUT", "4")];
    let mut run = Run::start(&[&first, &second, &third], &arguments, &timeout);
    second.wait_for_more(5.0, &mut run.child);
    signal(&second.child, Signal::SIGSTOP);
    let ran = run.end();
    assert_eq!(ran.code, Some(1), "{}", ran.text);
    // Twenty windows would take half a minute: in each, some requests wait for REQUEST_TIMEOUT.
    assert!(
        ran.took < Duration::from_secs(25),
        "{:?}: {}",
        ran.took,
        ran.text
    );
    assert!(
        ran.text.contains("ended early: its time is over"),
        "{}",
        ran.text
    );

    let summary = ran.summary();
    let silent = summary
        .outages
        .iter()
        .find(|outage| matches!(outage.kind, OutageKind::Silent { .. }));
    let silent = silent.unwrap_or_else(|| panic!("a silence: {}", ran.text));
    assert_eq!(
        (silent.endpoint, silent.recovered),
        (1, false),
        "{silent:?}"
    );
    assert!(
        summary.outages.iter().all(|outage| outage.endpoint == 1),
        "{}",
        ran.text
    );
    assert!(ran.text.contains(&silent.to_string()), "{}", ran.text);
}

#[test]
fn the_death_of_the_replica_that_counts_tokens_does_not_end_the_run() {
    let [mut first, second] = [(); 2].map(|()| Replica::start());
    // The server counts no output tokens, so that its /tokenize is asked after each of two loads.
    let env = [
        ("SERVEMARK_EXTRA_BODY", r#"{"stream_options": null}"#),
        ("SERVEMARK_RUNS", "2"),
    ];
    let arguments = ["--duration", "2", "--windows", "3"];
    let mut run = Run::start(&[&first, &second], &arguments, &env);
    first.wait_for_more(10.0, &mut run.child);
    first.child.kill().expect("it runs");
    let ran = run.end();
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    assert!(ran.text.contains("tokens are counted by"), "{}", ran.text);
    let summary = ran.summary();
    let counted = summary.tokens.by_tokenizer;
    assert!(counted > 0 && counted == summary.completed, "{}", ran.text);
    let is_first = |outage: &Outage| outage.endpoint == 0 && !outage.recovered;
    assert!(summary.outages.iter().all(is_first), "{}", ran.text);
    let runs = Vec::from_iter(summary.outages.iter().map(|outage| outage.run));
    assert_eq!(runs, [0, 1], "{}", ran.text);
    assert!(
        ran.text.contains("- run/25 c=6: in run 2, endpoint"),
        "{}",
        ran.text
    );
}

#[test]
fn a_point_without_any_success_names_its_endpoint_and_when_it_failed() {
    let server = engines::faults("http_500=1");
    let url = server.urls()[0].as_str();
    let run = Run::start(&[], &["--endpoint", url, "--duration", "1"], &[]);
    let ran = run.end();
    assert_eq!(ran.code, Some(1), "{}", ran.text);
    let record = ran.here.path().join("servemark/run/25/c=6/new.json");
    let record = RunRecord::read(&record).expect("a record");
    let [outage] = &record.outages[..] else {
        panic!("one outage: {:?}: {}", record.outages, ran.text);
    };
    let OutageKind::Failed { requests, causes } = &outage.kind else {
        panic!("{outage:?}");
    };
    assert_eq!(causes, &[("HTTP 500".to_owned(), *requests)]);
    assert!(*requests >= 6 && !outage.recovered, "{outage:?}");
    let said = outage.to_string();
    // As the point fails, and below the table.
    assert_eq!(ran.text.matches(&said).count(), 2, "{said}: {}", ran.text);
    let again = servemark(ran.here.path()).arg("results").output();
    let again = again.expect("the command runs");
    assert!(String::from_utf8_lossy(&again.stdout).contains(&said));
    assert!(ran.pages().contains(&said), "{said}");
}
