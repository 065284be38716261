//! Ctrl-C, SIGTERM and SIGHUP in every phase of a bench and of `servemark run`: what was measured is kept and marked,
//! what was booted is stopped, and the exit code is the signal's.
#![cfg(unix)]

mod cargo_bench;
mod engines;

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use cargo_bench::CargoBench;
use engines::{engine, faults, successes, wait_for_successes};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use servemark::RunRecord;
use servemark::internals::engine::Engine;

/// Longer than anything here takes; a test that waits so long has failed.
const NEVER: Duration = Duration::from_secs(20);

/// Cases that run at the same time: most of each is waiting.
const AT_A_TIME: usize = 4;

const SIGNALS: [(Signal, &str); 3] = [
    (Signal::SIGINT, "Ctrl-C"),
    (Signal::SIGTERM, "SIGTERM"),
    (Signal::SIGHUP, "SIGHUP"),
];

/// Where a process is when the signal comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// It waits for a server that is not there.
    Readiness,
    WarmUp,
    Measuring,
    /// Criterion is given the windows of a load that is over.
    Replay,
    /// The record is written, table and pages are not.
    Writing,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Program {
    Bench,
    Run,
}

/// A process under way, and what it says on both of its streams.
struct Process {
    child: Child,
    lines: Receiver<String>,
    said: String,
}

impl Process {
    fn start(mut command: Command) -> Process {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let (sender, lines) = channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("a pipe")),
            Box::new(child.stderr.take().expect("a pipe")),
        ];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let lines = BufReader::new(stream).lines();
                for line in lines.map_while(Result::ok) {
                    // If the test has failed, the receiver is gone.
                    let _ = sender.send(line);
                }
            });
        }
        Process {
            child,
            lines,
            said: String::new(),
        }
    }

    /// Waits until it says this.
    fn until(&mut self, words: &str) {
        loop {
            match self.lines.recv_timeout(NEVER) {
                Ok(line) => {
                    self.said += &format!("{line}\n");
                    if line.contains(words) {
                        return;
                    }
                }
                Err(error) => {
                    let _ = self.child.kill();
                    panic!("{words:?} was not said ({error}):\n{}", self.said);
                }
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it runs");
    }

    /// Its end, and all that it said.
    fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("it ends");
        while let Ok(line) = self.lines.recv_timeout(NEVER) {
            self.said += &format!("{line}\n");
        }
        (status, std::mem::take(&mut self.said))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        let _ = self.child.kill();
    }
}

/// Whether this process was started to ignore SIGHUP, the signal of number one, and hands that on.
fn ignores_hang_up() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).expect("a mask") & 1 == 1)
}

fn signals() -> impl Iterator<Item = (Signal, &'static str)> {
    let is_heard = |signal: &(Signal, _)| signal.0 != Signal::SIGHUP || !ignores_hang_up();
    SIGNALS.into_iter().filter(is_heard)
}

/// Does something with every case, a few at a time.
fn each<C: Send>(cases: impl IntoIterator<Item = C>, check: impl Fn(C) + Sync) {
    let cases = Mutex::new(VecDeque::from_iter(cases));
    let next = || cases.lock().expect("no panic inside").pop_front();
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(case) = next() {
                    check(case);
                }
            });
        }
    });
}

fn url(engine: &Engine) -> String {
    engine.urls()[0].to_string()
}

/// The chat bench with two points that would take ten minutes each, unless a phase is to be over soon.
fn bench(server: &str) -> CargoBench {
    let mut bench = CargoBench::one_point();
    // With a tokenizer of its own it counts while the load runs: Criterion drives the load.
    let tokenizer = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/tokenizer/tokenizer.json"
    );
    bench
        .env("SERVEMARK_MODEL_ENDPOINTS", server)
        .env("SERVEMARK_TOKENIZER_PATH", tokenizer)
        .env("SERVEMARK_CONCURRENT_LEVELS", "2,4")
        .env("SERVEMARK_MAX_NEW_TOKENS", "4");
    bench
}

fn start(program: Program, bench: &CargoBench, executable: &Path, times: [&str; 2]) -> Process {
    let [warm_up, measurement] = times;
    let command = match program {
        Program::Bench => {
            let mut command = bench.command(executable);
            command.args(["--bench", "--warm-up-time", warm_up]);
            command.args(["--measurement-time", measurement]);
            // Criterion's plots and bootstraps take most of the time of a short run.
            command.args(["--noplot", "--nresamples", "2000"]);
            command
        }
        Program::Run => {
            let mut command = bench.command(env!("CARGO_BIN_EXE_servemark"));
            command
                .current_dir(bench.results())
                .args(["run", "--prompt", "25"]);
            command.args(["--warm-up", warm_up, "--duration", measurement]);
            command
        }
    };
    Process::start(command)
}

fn record_path(program: Program, bench: &CargoBench, concurrency: usize) -> PathBuf {
    let name = match program {
        Program::Bench => "chat_throughput",
        Program::Run => "run",
    };
    let path = format!("servemark/{name}/25/c={concurrency}/new.json");
    bench.results().join(path)
}

#[test]
fn a_signal_ends_every_phase_and_keeps_what_was_measured() {
    let executable = CargoBench::one_point().executable();
    let phases = |program| match program {
        Program::Bench => &[
            Phase::Readiness,
            Phase::WarmUp,
            Phase::Measuring,
            Phase::Replay,
            Phase::Writing,
        ][..],
        Program::Run => &[Phase::Readiness, Phase::WarmUp, Phase::Measuring],
    };
    let programs = [Program::Bench, Program::Run].into_iter();
    let cases = programs
        .flat_map(|program| phases(program).iter().map(move |phase| (program, *phase)))
        .flat_map(|(program, phase)| signals().map(move |signal| (program, phase, signal)));
    each(Vec::from_iter(cases), |(program, phase, signal)| {
        check(program, phase, signal, &executable, 3);
    });
}

fn check(
    program: Program,
    phase: Phase,
    (signal, name): (Signal, &str),
    executable: &Path,
    attempts: u32,
) {
    let server = engine(|_| {});
    let endpoint = match phase {
        // Nothing listens there.
        Phase::Readiness => "http://127.0.0.1:1".to_owned(),
        _ => url(&server),
    };
    let mut bench = bench(&endpoint);
    let is_short = [Phase::Replay, Phase::Writing].contains(&phase);
    let times = match phase {
        Phase::WarmUp => ["600", "1"],
        _ if is_short => ["0.1", "0.4"],
        _ => ["0.1", "600"],
    };
    if phase == Phase::Replay {
        bench.env("SERVEMARK_METRICS", "output_tok_s,rps,ttft,tpot,e2el");
    }
    if phase == Phase::Writing {
        bench
            .env("SERVEMARK_CONCURRENT_LEVELS", "2")
            .env("SERVEMARK_METRICS", "rps");
    }
    let mut process = start(program, &bench, executable, times);
    process.until(match (phase, program) {
        (Phase::Readiness, _) => "waiting for 1 endpoint(s)",
        (Phase::WarmUp, Program::Bench) => "Warming up",
        (Phase::Measuring, Program::Bench) => "Collecting",
        (_, Program::Run) => "[1/2] ",
        (Phase::Replay, _) => "/rps/c=2",
        (Phase::Writing, _) => "Table as CSV:",
    });
    if phase == Phase::Measuring {
        // Far beyond the warm-up, and far from the end of the first window, of a minute.
        wait_for_successes(&server, successes(&server) + 40.0);
    }
    process.signal(signal);
    let (status, said) = process.end();
    if phase == Phase::Writing && status.success() && attempts > 1 {
        // It was over before the signal came, though pages were still to be written.
        return check(program, phase, (signal, name), executable, attempts - 1);
    }
    let context = format!("{program:?} {phase:?} {name}:\n{said}");
    assert_eq!(status.code(), Some(128 + signal as i32), "{context}");
    assert!(said.contains(&format!("{name}: ending")), "{context}");
    assert!(
        !said.contains("panicked") && !said.contains("error:"),
        "{context}"
    );
    assert!(
        !said.contains("[2/2]"),
        "no further point begins: {context}"
    );
    assert!(!record_path(program, &bench, 4).exists(), "{context}");
    let record = record_path(program, &bench, 2);
    let why = format!("{name} ended the run");
    let partial = match phase {
        Phase::Readiness => {
            assert!(
                said.contains(&format!("{why}; nothing was measured")),
                "{context}"
            );
            return assert!(!record.exists(), "{context}");
        }
        Phase::WarmUp => {
            assert!(
                said.contains(&format!("c=2: not measured: {why}")),
                "{context}"
            );
            return assert!(!record.exists(), "{context}");
        }
        Phase::Measuring => Some(why.as_str()),
        Phase::Replay => {
            let lost = said.contains("Criterion has no result of") && said.contains(&why);
            assert!(lost, "{context}");
            None
        }
        Phase::Writing => None,
    };
    let record = RunRecord::read(&record).expect("a record");
    assert_eq!(record.partial.as_deref(), partial, "{context}");
    let completed = record.summary.map_or(0, |summary| summary.completed);
    assert!(completed >= 2, "{context}");
    says_so_everywhere(program, &bench, &said, partial);
}

/// Whether table, CSV file, pages and later tables say that the point is partial, where it is, and else that it is not.
fn says_so_everywhere(program: Program, bench: &CargoBench, said: &str, partial: Option<&str>) {
    let mut results = bench.command(env!("CARGO_BIN_EXE_servemark"));
    let again = results.arg("results").output().expect("the command runs");
    let again = String::from_utf8_lossy(&again.stdout);
    let row = |text: &str| text.lines().any(|line| line.contains("| partial"));
    for text in [said, &again] {
        assert_eq!(row(text), partial.is_some(), "{text}");
        if let Some(why) = partial {
            assert!(text.contains(&format!("c=2: partial: {why}")), "{text}");
        }
    }
    let name = record_path(program, bench, 2);
    let directory = name.ancestors().nth(3).expect("the bench's directory");
    let csv = fs::read_to_string(directory.join("performance_metrics.csv")).expect("a CSV file");
    assert_eq!(csv.contains("partial: "), partial.is_some(), "{csv}");
    if program == Program::Bench {
        for page in [
            "servemark/index.html",
            "servemark/pages/chat_throughput/25/c=2.html",
        ] {
            let html = fs::read_to_string(bench.results().join(page)).expect("a page");
            let mark = r#"<span class="mark">partial</span>"#;
            assert_eq!(html.contains(mark), partial.is_some(), "{page}");
        }
    }
}

#[test]
fn a_server_that_answers_nothing_holds_the_end_up_for_seconds_and_a_second_signal_for_none() {
    let executable = CargoBench::one_point().executable();
    each([false, true], |twice| {
        // No request would end by itself.
        let server = faults("stall=1:600000");
        let mut process = start(
            Program::Bench,
            &bench(&url(&server)),
            &executable,
            ["1", "1"],
        );
        process.until("Warming up");
        let begun = Instant::now();
        process.signal(Signal::SIGTERM);
        process.until("SIGTERM: ending");
        if twice {
            process.signal(Signal::SIGINT);
        }
        let (status, said) = process.end();
        assert_eq!(status.code(), Some(if twice { 130 } else { 143 }), "{said}");
        assert_eq!(said.contains("not measured: SIGTERM"), !twice, "{said}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{said}");
    });
}

#[test]
fn an_a_b_run_keeps_its_pairs_as_partial() {
    let executable = CargoBench::one_point().executable();
    let servers = [engine(|_| {}), engine(|_| {})];
    let mut bench = bench("");
    bench.env(
        "SERVEMARK_AB",
        &format!("old={},new={}", url(&servers[0]), url(&servers[1])),
    );
    let mut process = start(Program::Bench, &bench, &executable, ["0.05", "2"]);
    process.until("[1/2] ");
    // The order of turns is A B B A: where the first side is asked again, a pair is over.
    let [a, b] = &servers;
    let now = || [successes(a), successes(b)];
    let begin = now();
    let grown = |side: usize, since: f64| {
        let begun = Instant::now();
        while now()[side] < since + 4.0 {
            assert!(begun.elapsed() < NEVER, "no turn of side {side}");
        }
        now()
    };
    let first = loop {
        match now() {
            [first, _] if first > begin[0] => break 0,
            [_, second] if second > begin[1] => break 1,
            _ => {}
        }
    };
    let turned = grown(1 - first, begin[1 - first]);
    grown(first, turned[first]);
    process.signal(Signal::SIGTERM);
    let (status, said) = process.end();
    assert_eq!(status.code(), Some(143), "{said}");
    let records = ["old", "new"].map(|side| {
        let path = format!("servemark/chat_throughput/25/c=2/{side}.json");
        RunRecord::read(&bench.results().join(path)).expect("a record")
    });
    for (record, side) in records.iter().zip(["old", "new"]) {
        assert_eq!(record.partial.as_deref(), Some("SIGTERM ended the run"));
        assert!(
            said.contains(&format!("{side}: partial: SIGTERM")),
            "{said}"
        );
        assert!(record.windows.len() < 10, "{said}");
    }
    assert!(!records[0].windows.is_empty(), "{said}");
    assert_eq!(records[0].windows.len(), records[1].windows.len(), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_hangs_up_takes_no_result_with_it() {
    if ignores_hang_up() {
        return;
    }
    let executable = CargoBench::one_point().executable();
    let server = engine(|_| {});
    let bench = bench(&url(&server));
    let pty = nix::pty::openpty(None, None).expect("a pseudo-terminal");
    let side = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
    let mut command = bench.command(&executable);
    command.args([
        "--bench",
        "--warm-up-time",
        "0.1",
        "--measurement-time",
        "600",
    ]);
    command.stdin(side()).stdout(side()).stderr(side());
    let mut child = command
        .env("TERM", "xterm")
        .spawn()
        .expect("the bench runs");
    drop((command, pty.slave));
    let mut terminal = fs::File::from(pty.master);
    let (mut said, mut some) = (String::new(), [0; 4096]);
    while !said.contains("Collecting") {
        let read = terminal.read(&mut some).expect("the bench speaks");
        said += &String::from_utf8_lossy(&some[..read]);
    }
    wait_for_successes(&server, successes(&server) + 100.0);
    drop(terminal);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGHUP).expect("it runs");
    assert_eq!(child.wait().expect("it ends").code(), Some(129), "{said}");
    let record = RunRecord::read(&record_path(Program::Bench, &bench, 2)).expect("a record");
    assert_eq!(record.partial.as_deref(), Some("SIGHUP ended the run"));
    assert!(bench.results().join("servemark/index.html").exists());
}
