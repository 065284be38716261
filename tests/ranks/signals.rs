//! A signal to one rank, or to all, ends the load of all: what they measured together is kept and marked, and all exit
//! with the signal's code.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use servemark::RunRecord;
use servemark::internals::engine::Engine;

use super::cargo_bench::CargoBench;
use super::engines::{successes, wait_for_successes};
use super::signalled::{Process, each, signals};
use super::{assert_one_load, chat, engine, mpirun_is_there, parts};

/// Where the ranks are when the signal comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// They wait for a server that is not there.
    Readiness,
    WarmUp,
    Measuring,
    /// Criterion is given the windows of a load that is over.
    Replay,
    /// The record is written, table and pages are not.
    Writing,
}

/// Who receives the signal.
#[derive(Clone, Copy, Debug, PartialEq)]
enum To {
    Rank(usize),
    /// As from a terminal.
    All,
}

const TERM: (Signal, &str) = (Signal::SIGTERM, "SIGTERM");

/// Two points for two ranks that would take ten minutes each, unless a phase is to be over soon.
fn bench(server: &Engine) -> CargoBench {
    let mut bench = chat(server, 4);
    bench
        .env("SERVEMARK_RANKS", "2")
        .env("SERVEMARK_CONCURRENT_LEVELS", "4,6");
    bench
}

/// Starts a rank.
fn start(bench: &CargoBench, executable: &Path, rank: usize, times: [&str; 2]) -> Process {
    let [warm_up, measurement] = times;
    let mut command = bench.command(executable);
    command
        .args(["--bench", "--noplot", "--nresamples", "2000"])
        .args(["--warm-up-time", warm_up])
        .args(["--measurement-time", measurement])
        .env("JOB_COMPLETION_INDEX", rank.to_string());
    Process::start(command)
}

fn directory(bench: &CargoBench, concurrency: usize) -> PathBuf {
    let path = format!("servemark/chat_throughput/25/c={concurrency}");
    bench.results().join(path)
}

#[test]
fn a_signal_to_any_rank_ends_every_phase_of_all_and_keeps_what_was_measured() {
    let executable = bench(&engine("")).executable();
    let mut cases = Vec::from_iter(signals().map(|signal| (Phase::Measuring, To::All, signal)));
    for phase in [Phase::Readiness, Phase::WarmUp, Phase::Measuring] {
        cases.extend([0, 1].map(|rank| (phase, To::Rank(rank), TERM)));
    }
    cases.extend([To::Rank(1), To::All].map(|to| (Phase::Replay, to, TERM)));
    // The files may be written before rank 0 knows of another rank's signal.
    cases.extend([To::Rank(0), To::All].map(|to| (Phase::Writing, to, TERM)));
    each(cases, |(phase, to, signal)| {
        check(phase, to, signal, &executable, 3);
    });
}

fn check(phase: Phase, to: To, (signal, name): (Signal, &str), executable: &Path, attempts: u32) {
    let server = engine("");
    let mut bench = bench(&server);
    if phase == Phase::Readiness {
        // Nothing listens there.
        bench.env("SERVEMARK_MODEL_ENDPOINTS", "http://127.0.0.1:1");
    }
    let is_short = [Phase::Replay, Phase::Writing].contains(&phase);
    let times = match phase {
        Phase::WarmUp => ["600", "1"],
        _ if is_short => ["0.2", "1"],
        _ => ["0.2", "600"],
    };
    if phase == Phase::Writing {
        bench
            .env("SERVEMARK_CONCURRENT_LEVELS", "4")
            .env("SERVEMARK_METRICS", "rps");
    }
    let mut ranks = [0, 1].map(|rank| start(&bench, executable, rank, times));
    match phase {
        Phase::Readiness => ranks[0].until("waiting for 1 endpoint(s)"),
        // Far beyond the warm-up of a measurement, and far from the end of its first window, of a minute.
        Phase::WarmUp | Phase::Measuring => wait_for_successes(&server, successes(&server) + 15.0),
        Phase::Replay => ranks[0].until("/rps/c=4"),
        Phase::Writing => ranks[0].until("Table as CSV:"),
    }
    for (rank, process) in ranks.iter().enumerate() {
        if to == To::All || to == To::Rank(rank) {
            process.signal(signal);
        }
    }
    let begun = Instant::now();
    let ended = ranks.map(Process::end);
    let took = begun.elapsed();
    if phase == Phase::Writing && ended[0].0.success() && attempts > 1 {
        // It was over before the signal came, though pages were still to be written.
        return check(phase, to, (signal, name), executable, attempts - 1);
    }
    let said = &ended[0].1;
    let context = format!("{phase:?} {to:?} {name}:\n{said}\n{}", ended[1].1);
    assert!(took < Duration::from_secs(15), "{took:?}: {context}");
    for (status, said) in &ended {
        // A rank that waits for rank 0's files ends with its code: the signal may have come after them.
        assert_eq!(status.code(), Some(128 + signal as i32), "{context}");
        let is_fine = !said.contains("panicked") && !said.contains("error:");
        assert!(is_fine, "{context}");
    }
    assert!(
        !directory(&bench, 6).join("new.json").exists(),
        "no further point begins: {context}"
    );
    let record = directory(&bench, 4).join("new.json");
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
                said.contains(&format!("c=4: not measured: {why}")),
                "{context}"
            );
            return assert!(!record.exists(), "{context}");
        }
        Phase::Measuring => Some(why.as_str()),
        Phase::Replay | Phase::Writing => None,
    };
    let record = RunRecord::read(&record).expect("a record");
    assert_eq!(record.partial.as_deref(), partial, "{context}");
    assert!(!record.windows.is_empty(), "{context}");
    assert_one_load(&record, &parts(&directory(&bench, 4), 2), 4);
    let row = said.lines().any(|line| line.contains("| partial"));
    assert_eq!(row, partial.is_some(), "{context}");
}

#[test]
fn a_signal_while_ranks_wait_for_each_other_ends_them() {
    let server = engine("");
    let executable = bench(&server).executable();
    each([0, 1], |rank| {
        let bench = bench(&server);
        let mut process = start(&bench, &executable, rank, ["0.2", "600"]);
        let meeting = bench.results().join("servemark/chat_throughput/ranks");
        let begun = Instant::now();
        while !std::fs::read_dir(&meeting).is_ok_and(|mut met| met.next().is_some()) {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "it does not wait"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        process.signal(Signal::SIGTERM);
        process.until("SIGTERM ended the run; nothing was measured");
        let (status, said) = process.end();
        assert_eq!(status.code(), Some(143), "{said}");
        assert!(!said.contains("error:"), "{said}");
    });
}

#[test]
fn a_rank_that_does_not_answer_holds_the_end_up_for_seconds_and_a_second_signal_for_none() {
    let executable = bench(&engine("")).executable();
    each([false, true], |twice| {
        let server = engine("");
        let bench = bench(&server);
        let [mut first, second] =
            [0, 1].map(|rank| start(&bench, &executable, rank, ["0.2", "600"]));
        wait_for_successes(&server, successes(&server) + 15.0);
        second.signal(Signal::SIGSTOP);
        let begun = Instant::now();
        first.signal(Signal::SIGTERM);
        first.until("SIGTERM: ending");
        if twice {
            first.signal(Signal::SIGINT);
        }
        let (status, said) = first.end();
        assert_eq!(status.code(), Some(if twice { 130 } else { 143 }), "{said}");
        let lost = "rank 1 sent no heartbeat for 10 s (after a signal)";
        assert_eq!(said.contains(lost), !twice, "{said}");
        let most = if twice { 5 } else { 30 };
        assert!(begun.elapsed() < Duration::from_secs(most), "{said}");
    });
}

#[test]
fn a_signal_to_mpirun_is_passed_on_and_the_figures_are_kept() {
    if !mpirun_is_there() {
        return;
    }
    let server = engine("");
    let mut bench = chat(&server, 4);
    bench.env("SERVEMARK_METRICS", "rps");
    let mut command = bench.command("mpirun");
    command
        .args(["-np", "2", "--allow-run-as-root", "--oversubscribe"])
        .args(["--bind-to", "none"])
        // How long it waits before it kills the processes; usually a second.
        .args(["--mca", "odls_base_sigkill_timeout", "6"])
        .arg(bench.executable())
        .args(["--bench", "--noplot", "--color", "never"])
        .args(["--warm-up-time", "0.2", "--measurement-time", "600"]);
    let process = Process::start(command);
    wait_for_successes(&server, successes(&server) + 15.0);
    process.signal(Signal::SIGINT);
    let (status, said) = process.end();
    assert!(!status.success(), "{said}");
    let record = RunRecord::read(&directory(&bench, 4).join("new.json")).expect("a record");
    // mpirun passes Ctrl-C on as SIGTERM.
    assert_eq!(
        record.partial.as_deref(),
        Some("SIGTERM ended the run"),
        "{said}"
    );
    assert_one_load(&record, &parts(&directory(&bench, 4), 2), 4);
}
