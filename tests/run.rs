//! `servemark run` as a user runs it.

mod engines;

#[cfg(unix)]
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::process::{Child, Stdio};
use std::process::{Command, Output};

#[cfg(unix)]
use engines::wait_for_successes;
use engines::{engine, faults};
use serde_json::Value;
use servemark::RunRecord;
#[cfg(unix)]
use servemark::internals::engine::Engine;
use tempfile::TempDir;

/// Short, but long enough for a window or more.
const SHORT: [&str; 6] = ["--duration", "0.6", "--warm-up", "0.1", "--windows", "3"];

/// A directory in which the command runs, away from any configuration.
struct Here(TempDir);

impl Here {
    fn new() -> Here {
        Here(tempfile::tempdir().expect("a temporary directory"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_servemark"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("CRITERION_HOME", self.0.path());
        for (key, _) in std::env::vars() {
            let configures = ["SERVEMARK_", "OMPI_", "SLURM_"];
            if configures.iter().any(|prefix| key.starts_with(prefix)) {
                command.env_remove(key);
            }
        }
        command.env_remove("JOB_COMPLETION_INDEX");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let arguments = [&["run"], &SHORT[..], arguments].concat();
        self.command(&arguments).output().expect("the command runs")
    }

    fn record(&self, prompt: &str, concurrency: usize) -> PathBuf {
        let path = format!("servemark/run/{prompt}/c={concurrency}/new.json");
        self.0.path().join(path)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn config(path: &Path) -> Value {
    RunRecord::read(path).expect("a record").config
}

#[test]
fn without_anything_it_measures_the_simulated_engine_and_says_so() {
    let here = Here::new();
    let ran = here.run(&["--concurrency", "2,4", "--max-tokens", "8"]);
    let (out, err) = (text(&ran.stdout), text(&ran.stderr));
    assert_eq!(ran.status.code(), Some(0), "{out}{err}");
    assert!(out.starts_with("## run — **simulated**"), "{out}");
    assert!(err.contains("SIMULATED"), "{err}");
    for (point, line) in [(1, "[1/2] run/100 c=2 · "), (2, "[2/2] run/100 c=4 · ")] {
        assert!(
            err.contains(line),
            "one plain line for point {point}: {err}"
        );
    }
    assert!(
        !out.contains('\u{1b}') && !err.contains('\u{1b}'),
        "plain in a pipe: {err:?}"
    );
    for concurrency in [2, 4] {
        let record = RunRecord::read(&here.record("100", concurrency)).expect("a record");
        assert_eq!(record.simulated.as_deref(), Some("sim-small"));
        assert_eq!(record.windows.len(), 3);
        assert_eq!(record.api.as_deref(), Some("chat_completions"));
    }
    let csv = here.0.path().join("servemark/run/performance_metrics.csv");
    let csv = std::fs::read_to_string(csv).expect("a CSV file");
    assert_eq!(csv.lines().count(), 3, "{csv}");

    // The other commands work on the files kept.
    let shown = here
        .command(&["results"])
        .output()
        .expect("the command runs");
    let figures = |text: &str| -> Vec<String> {
        let rows = text.lines().filter(|line| line.starts_with('|'));
        rows.map(str::to_owned).collect()
    };
    assert_eq!(figures(&text(&shown.stdout)), figures(&out));
    let saved = here.command(&["baseline", "save", "first"]).output();
    assert!(saved.expect("the command runs").status.success());
    let compared = here.command(&["compare", "first", "new"]).output();
    let compared = text(&compared.expect("the command runs").stdout);
    assert!(
        compared.contains("## run") && compared.contains("100 c=4"),
        "{compared}"
    );
}

#[test]
fn requests_arrive_at_a_rate_and_too_high_a_rate_is_saturation() {
    let (here, server) = (Here::new(), engine(|_| {}));
    let url = server.urls()[0].to_string();
    let open = ["--endpoint", &url, "--prompt", "25", "--max-tokens", "8"];
    let rates = [
        "--rate",
        "40,max",
        "--arrivals",
        "constant",
        "--ramp",
        "linear=0.2",
    ];
    let most = ["--max-in-flight", "1"];
    let ran = here.run(&[&open[..], &rates, &most].concat());
    let (out, err) = (text(&ran.stdout), text(&ran.stderr));
    assert_eq!(ran.status.code(), Some(0), "{out}{err}");
    let record = |level: &str| {
        let path = format!("servemark/run/25/{level}/new.json");
        RunRecord::read(&here.0.path().join(path)).expect("a record")
    };
    // Few may be in flight, and each that is not sent is counted.
    let summary = record("rate=40").summary.expect("figures");
    let sent = summary.completed as f64 / (summary.completed + summary.failed()) as f64;
    let saturation = summary.saturation.expect("more arrive than one at a time");
    assert!(saturation.not_sent > 0 && sent < 1.0, "{saturation}");
    assert_eq!(saturation.not_sent, summary.failed(), "{out}{err}");
    assert!(summary.e2el_ms.is_none() && summary.ttft_ms.is_none());
    for said in ["saturated", "not sent"] {
        assert!(out.contains(said), "{said}: {out}");
    }
    // As many as may be in flight is a closed loop.
    let summary = record("rate=max").summary.expect("figures");
    assert!(summary.saturation.is_none() && summary.e2el_ms.is_some());

    let slow = ["--rate", "5", "--duration", "4", "--max-tokens", "2"];
    let slow = [&["run", "--endpoint", &url, "--prompt", "25"], &slow[..]].concat();
    let ran = here.command(&slow).output().expect("the command runs");
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    let served = record("rate=5");
    let summary = served.summary.expect("figures");
    assert!(summary.saturation.is_none() && summary.failed() == 0);
    assert!((2.5..10.0).contains(&summary.rps), "{} req/s", summary.rps);
    for request in served.requests.iter() {
        assert!(request.is_scheduled && request.intended_ns <= request.sent_ns);
    }
}

#[test]
fn options_win_over_environment_and_file() {
    let (here, server) = (Here::new(), engine(|_| {}));
    let url = server.urls()[0].to_string();
    let options = [
        "--endpoint",
        &url,
        "--random-tokens",
        "50",
        "--concurrency",
        "2",
        "--shape",
        "wave",
        "--seed",
        "7",
        "--slo",
        "ttft=5000,e2el=60000",
        "--num-gpu",
        "4",
        "--format",
        "json",
    ];
    let arguments = [&["run"], &SHORT[..], &options].concat();
    let ran = here
        .command(&arguments)
        .env("SERVEMARK_CONCURRENT_LEVELS", "1,16")
        .env("SERVEMARK_MODEL_ENDPOINTS", "http://127.0.0.1:1")
        .env("SERVEMARK_MAX_NEW_TOKENS", "5")
        .output()
        .expect("the command runs");
    let (out, err) = (text(&ran.stdout), text(&ran.stderr));
    assert_eq!(ran.status.code(), Some(0), "{out}{err}");
    let record: Value = serde_json::from_str(&out).expect("one record alone on stdout");
    assert_eq!(record["prompt"], "random-50");
    assert_eq!(record["api"], "completions");
    assert_eq!(record["concurrency"], 2);
    assert_eq!(record["seed"], 7);
    assert!(
        record["summary"]["goodput"]
            .as_f64()
            .is_some_and(|rate| rate > 0.0),
        "{out}"
    );
    let config = config(&here.record("random-50", 2));
    assert_eq!(config["LOAD_SHAPE"], "wave");
    assert_eq!(config["NUM_GPU"], 4);
    assert_eq!(
        config["MAX_NEW_TOKENS"], 5,
        "no option, so the variable holds"
    );
}

#[test]
fn a_wrong_option_is_called_by_its_name() {
    let here = Here::new();
    for (arguments, words) in [
        (
            ["--concurrency", "0"],
            ["option --concurrency", "--concurrency 1,8,64"],
        ),
        (["--slo", "speed=5"], ["option --slo", "ttft=200"]),
        (
            ["--endpoint", "ftp://a"],
            ["option --endpoint", "http://localhost:8000"],
        ),
    ] {
        let ran = here.run(&arguments);
        let err = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{err}");
        for word in words {
            assert!(err.contains(word), "{word}: {err}");
        }
        assert!(!err.contains("SERVEMARK_"), "{err}");
    }
}

#[test]
fn a_point_that_fails_is_reported_and_the_others_stay() {
    let (here, server) = (Here::new(), faults("http_500=1"));
    let url = server.urls()[0].to_string();
    let ran = here.run(&[
        "--endpoint",
        &url,
        "--concurrency",
        "2",
        "--format",
        "vllm",
        "--output",
        "out",
    ]);
    let (out, err) = (text(&ran.stdout), text(&ran.stderr));
    assert_eq!(ran.status.code(), Some(1), "{out}{err}");
    assert!(
        err.contains("run/100 c=2 FAILED") && err.contains("HTTP 500"),
        "{err}"
    );
    assert!(
        out.contains("run/100 c=2: FAILED"),
        "the table stands where files were written: {out}"
    );
    let result = std::fs::read_to_string(here.0.path().join("out/run-100-c2.json"));
    let result: Value = serde_json::from_str(&result.expect("a file")).expect("JSON");
    assert_eq!(result["completed"], 0);
    assert_eq!(result["mean_ttft_ms"], Value::Null);
    assert!(
        result["failed"].as_u64().is_some_and(|failed| failed >= 2),
        "{result}"
    );
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_run_and_what_was_measured_stays() {
    for (signal, name, code) in [
        ("-INT", "Ctrl-C", 130),
        ("-TERM", "SIGTERM", 143),
        ("-HUP", "SIGHUP", 129),
    ] {
        if signal == "-HUP" && ignores_hang_up() {
            // Started under nohup, these tests hand that on to what they start.
            continue;
        }
        ends_with_its_table(signal, name, code);
    }
}

/// Whether this process was started to ignore SIGHUP, the signal of number one.
#[cfg(unix)]
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).expect("a mask") & 1 == 1)
}

/// A run that would take ten minutes a point.
#[cfg(unix)]
fn long_run(here: &Here, server: &Engine) -> Command {
    let url = server.urls()[0].to_string();
    let options = ["--max-tokens", "4", "--warm-up", "0.1", "--duration", "600"];
    let arguments = [
        &["run", "--endpoint", &url, "--concurrency", "2,4"],
        &options[..],
    ];
    let mut command = here.command(&arguments.concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[cfg(unix)]
fn send(signal: &str, to: &Child) {
    let kill = Command::new("kill")
        .args([signal, &to.id().to_string()])
        .status();
    assert!(kill.expect("a kill command").success());
}

#[cfg(unix)]
fn ends_with_its_table(signal: &str, name: &str, code: i32) {
    let (here, server) = (Here::new(), engine(|_| {}));
    let child = long_run(&here, &server).spawn().expect("the command runs");
    // Far beyond the warm-up, and far from the end of the first window, of a minute.
    wait_for_successes(&server, 200.0);
    send(signal, &child);
    let ran = child.wait_with_output().expect("it ends");
    let (out, rest) = (text(&ran.stdout), text(&ran.stderr));
    assert_eq!(ran.status.code(), Some(code), "{out}{rest}");
    assert!(rest.contains(&format!("{name}: ending")), "{rest}");
    assert!(!rest.contains("[2/2]"), "no further point begins: {rest}");
    assert!(
        out.contains(&format!("run/100 c=2: partial: {name} ended the run")),
        "{out}"
    );
    let record = RunRecord::read(&here.record("100", 2)).expect("a record");
    assert!(record.summary.is_some_and(|summary| summary.completed >= 2));
    assert!(!here.record("100", 4).exists());
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_it_at_once() {
    // No request would end by itself.
    let (here, server) = (Here::new(), faults("stall=1:600000"));
    let mut child = long_run(&here, &server).spawn().expect("the command runs");
    let said = BufReader::new(child.stderr.take().expect("its stderr"));
    let mut lines = said.lines().map(|line| line.expect("text"));
    // A signal before the load would end the run at once.
    assert!(lines.any(|line| line.contains("[1/")));
    send("-TERM", &child);
    assert!(lines.any(|line| line.contains("SIGTERM: ending")));
    send("-INT", &child);
    let rest = lines.last();
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130), "{rest:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn under_nohup_a_hang_up_ends_nothing() {
    let (here, server) = (Here::new(), engine(|_| {}));
    let run = long_run(&here, &server);
    // A shell's way to have the signal ignored from the start.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]);
    shell.arg(run.get_program()).args(run.get_args());
    shell.current_dir(here.0.path());
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = shell.spawn().expect("the command runs");
    wait_for_successes(&server, 200.0);
    send("-HUP", &child);
    wait_for_successes(&server, 400.0);
    send("-TERM", &child);
    let ran = child.wait_with_output().expect("it ends");
    assert_eq!(ran.status.code(), Some(143), "{}", text(&ran.stderr));
    assert!(!text(&ran.stderr).contains("SIGHUP"));
}
