//! Several runs in one process. Each test runs itself again with a results directory of its own, as that is
//! found through the environment.

use std::process::Command;
use std::time::{Duration, Instant};

use super::engines::engine;
use super::url;
use servemark::internals::engine::Engine;
use servemark::{Config, Run, RunError, RunResult, Sampling, Workload};

const CHILD: &str = "ONE_RUN_CHILD";

/// Whether this is the process in which the test takes place; else it is run there.
fn is_child(test: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let results = tempfile::tempdir().expect("a directory");
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(CHILD, "1")
        .env("CRITERION_HOME", results.path())
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    false
}

/// A short run of one question, of servers at this address; of embedded ones without.
fn run(url: Option<&str>) -> Result<RunResult, RunError> {
    let config = Config::new()
        .set("CONCURRENT_LEVELS", [2])
        .set("MAX_NEW_TOKENS", 4)
        .set("READY_TIMEOUT", 0.5)
        .set("MODEL_ENDPOINTS", Vec::from_iter(url));
    let question = Workload::questions([("cat", "What is a good name for a grey cat?")]);
    let sampling = Sampling {
        warm_up: Duration::from_millis(20),
        measurement: Duration::from_millis(100),
        windows: 2,
    };
    Run::new(question)
        .config(config)
        .sampling(sampling)
        .measure()
}

/// The address of the one server that a run measured, and the run's id.
fn measured(ran: Result<RunResult, RunError>) -> (String, String) {
    let ran = ran.expect("measured");
    assert!(ran.complete, "{}", ran.figures);
    let [record] = &ran.records[..] else {
        panic!("one point: {}", ran.figures);
    };
    (
        record.endpoints[0].url.clone(),
        record.run_id.clone().expect("an id"),
    )
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

#[test]
fn each_run_measures_its_own_servers() {
    if !is_child("in_one_process::each_run_measures_its_own_servers") {
        return;
    }
    let servers: [Engine; 2] = [engine(|_| {}), engine(|_| {})];
    let [first, second] = servers
        .each_ref()
        .map(|server| measured(run(Some(&url(server)))));
    assert_eq!(first.0, url(&servers[0]));
    assert_eq!(second.0, url(&servers[1]));
    assert_ne!(first.1, second.1, "two runs");
}

#[test]
fn a_run_after_one_that_could_not_boot_is_measured() {
    if !is_child("in_one_process::a_run_after_one_that_could_not_boot_is_measured") {
        return;
    }
    let error = run(Some("http://127.0.0.1:1")).expect_err("nothing listens there");
    assert!(matches!(error, RunError::NotReady(_)), "{error}");
    let server = engine(|_| {});
    assert_eq!(measured(run(Some(&url(&server)))).0, url(&server));
}

#[test]
fn a_run_leaves_no_engine_and_no_thread() {
    if !is_child("in_one_process::a_run_leaves_no_engine_and_no_thread") {
        return;
    }
    let mut most = None;
    for _ in 0..4 {
        let (url, _) = measured(run(None));
        let address = url::Url::parse(&url).expect("an address");
        let port = address.port().expect("a port");
        let answer = std::net::TcpStream::connect(("127.0.0.1", port));
        assert!(
            answer.is_err(),
            "the embedded engine still listens on {port}"
        );
        // What the first run has started may stay; each further one leaves nothing. Threads that were told
        // to end take their time on a busy machine.
        let most = *most.get_or_insert_with(threads);
        let deadline = Instant::now() + Duration::from_secs(30);
        while threads() > most {
            assert!(
                Instant::now() < deadline,
                "{} threads, {most} before",
                threads()
            );
            std::thread::yield_now();
        }
    }
}
