//! One load shared by several processes, as schedulers start them, has the figures of one process.

#[path = "../cargo_bench/mod.rs"]
mod cargo_bench;
#[cfg(unix)]
#[path = "../engines/mod.rs"]
mod engines;
#[cfg(unix)]
#[path = "../signalled/mod.rs"]
mod signalled;
#[cfg(unix)]
mod signals;
mod trouble;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use cargo_bench::CargoBench;
use servemark::RunRecord;
use servemark::internals::client::RequestRecord;
use servemark::internals::engine::{Engine, EngineOptions, Faults, Preset};
use servemark::internals::prompt::shipped_tokenizer;

/// Largest relative difference between four processes and one.
const TOLERANCE: f64 = 0.05;

const CONCURRENCY: usize = 16;

const RANKS: usize = 4;

/// Variables of one process, and their values.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// The variables that an Indexed Job sets in its pods.
const TWO_PODS: [Variables; 2] = [
    &[("JOB_COMPLETION_INDEX", "0")],
    &[("JOB_COMPLETION_INDEX", "1")],
];

/// Two replicas without noise, whose steps are so long that a shared machine's delays are small.
fn engine(faults: &str) -> Engine {
    let mut preset = Preset::named("sim-small").expect("a shipped preset");
    preset.noise = Default::default();
    preset.step_time.base_us = 40_000.0;
    let tokenizer = Arc::new(shipped_tokenizer().expect("a shipped tokenizer"));
    Engine::start(EngineOptions {
        replicas: 2,
        faults: faults.parse::<Faults>().expect("faults"),
        ..EngineOptions::new(preset, tokenizer)
    })
    .expect("an engine")
}

/// A bench of short answers from `engine` at `concurrency`.
fn chat(engine: &Engine, concurrency: usize) -> CargoBench {
    let urls: Vec<String> = engine.urls().iter().map(ToString::to_string).collect();
    let mut bench = CargoBench::new("chat_throughput");
    bench
        .env("SERVEMARK_MODEL_ENDPOINTS", &urls.join(","))
        .env("SERVEMARK_PROMPT_KEYS", "25")
        .env("SERVEMARK_MAX_NEW_TOKENS", "8")
        .env("SERVEMARK_READY_TIMEOUT", "60")
        .env("SERVEMARK_CONCURRENT_LEVELS", &concurrency.to_string());
    bench
}

/// The arguments of Criterion, `cargo bench`'s own among them.
fn arguments(warm_up: &str, measurement: &str) -> Vec<String> {
    let times = ["--warm-up-time", warm_up, "--measurement-time", measurement];
    // mpirun gives its processes a terminal.
    let plain = ["--bench", "--color", "never"];
    plain
        .iter()
        .chain(&times)
        .map(ToString::to_string)
        .collect()
}

/// Whether `mpirun` is there. A machine that must run every test may not go on without it.
fn mpirun_is_there() -> bool {
    let version = Command::new("mpirun").arg("--version").output();
    let there = version.is_ok_and(|output| output.status.success());
    assert!(
        there || std::env::var_os("CI").is_none(),
        "mpirun is missing (apt-get install openmpi-bin)"
    );
    if !there {
        eprintln!("skipped: mpirun is missing (apt-get install openmpi-bin)");
    }
    there
}

fn mpirun(bench: &CargoBench, arguments: &[String]) -> Output {
    let mut command = bench.command("mpirun");
    command
        .args(["-np", &RANKS.to_string()])
        .args([
            "--allow-run-as-root",
            "--oversubscribe",
            "--bind-to",
            "none",
        ])
        .arg(bench.executable())
        .args(arguments);
    command.output().expect("mpirun runs")
}

fn record_in(directory: &Path) -> RunRecord {
    RunRecord::read(&directory.join("new.json")).expect("a record")
}

/// The records of all parts, by rank, kept beside the record of the point.
fn parts(directory: &Path, of: usize) -> Vec<RunRecord> {
    (0..of)
        .map(|rank| {
            let path = directory.join(format!("new.rank-{rank}-of-{of}.json"));
            RunRecord::read(&path).expect("a rank's record")
        })
        .collect()
}

/// Holds what must be exact, whatever the machine did meanwhile.
fn assert_one_load(merged: &RunRecord, parts: &[RunRecord], concurrency: usize) {
    assert_eq!(merged.level.to_string(), format!("c={concurrency}"));
    for window in &merged.windows {
        let rounds = window.iterations as usize;
        assert_eq!(window.requests, rounds * concurrency, "whole rounds");
    }
    for pair in merged.windows.windows(2) {
        assert_eq!(pair[0].end_ns, pair[1].start_ns);
        assert_eq!(pair[0].carried_out, pair[1].carried_in);
    }
    assert_eq!(merged.ranks.len(), parts.len());
    let shared: usize = merged.ranks.iter().map(|rank| rank.concurrency).sum();
    assert_eq!(shared, concurrency);
    let mut served = [0_usize; 2];
    let mut sent = std::collections::BTreeSet::new();
    for (rank, part) in parts.iter().enumerate() {
        assert_eq!(part.seed, merged.seed, "one seed for all ranks");
        assert_eq!(part.request_id_prefix, merged.request_id_prefix);
        assert_eq!(part.part.as_ref().expect("a part").rank, rank);
        let requests: Vec<RequestRecord> = part.requests.iter().collect();
        let mut indices: Vec<usize> = requests.iter().map(|r| r.index as usize).collect();
        indices.sort_unstable();
        let every_nth = (rank..).step_by(parts.len()).take(indices.len());
        assert!(
            indices.iter().copied().eq(every_nth),
            "rank {rank} left an index out"
        );
        let mut own = [0_usize; 2];
        for request in &requests {
            own[request.endpoint] += 1;
        }
        assert!(own[0].abs_diff(own[1]) <= 1, "rank {rank}: {own:?}");
        served = [served[0] + own[0], served[1] + own[1]];
        sent.extend(indices);
    }
    // One process's would differ by one; of each rank's last requests one may be over.
    assert!(served[0].abs_diff(served[1]) <= parts.len(), "{served:?}");
    let measured: Vec<usize> = merged.requests.iter().map(|r| r.index as usize).collect();
    let distinct: std::collections::BTreeSet<usize> = measured.iter().copied().collect();
    assert_eq!(
        distinct.len(),
        measured.len(),
        "no request is counted twice"
    );
    assert!(distinct.is_subset(&sent));
}

#[test]
fn four_processes_of_mpirun_have_the_figures_of_one() {
    if !mpirun_is_there() {
        return;
    }
    let arguments = arguments("1.5", "5");
    let (engine_of_four, engine_of_one) = (engine(""), engine(""));
    let shared = chat(&engine_of_four, CONCURRENCY);
    let output = mpirun(&shared, &arguments);
    let ran = shared.ran(&output);
    assert!(ran.succeeded, "{}", ran.text);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(printed.matches("E2EL p50 ms").count(), 1, "{printed}");
    for rank in 1..RANKS {
        let line = format!("rank {rank} of 4: chat_throughput/25 c=16: 4 of 16 in flight");
        assert!(ran.text.contains(&line), "{line} is missing:\n{}", ran.text);
    }
    for metric in ["output_tok_s", "rps", "ttft", "tpot", "e2el"] {
        let id = format!("chat_throughput/25/{metric}/c=16");
        assert_eq!(
            printed.matches(&format!("{id}\n")).count(),
            1,
            "{id}:\n{printed}"
        );
    }
    assert_eq!(ran.csv().lines().count(), 2, "{}", ran.csv());
    let directory = ran.record_path();
    let directory = directory.parent().expect("a directory");
    let merged = record_in(directory);
    assert_eq!(merged.windows.len(), 10);
    assert!(merged.run_id.is_some());
    for part in parts(directory, RANKS) {
        assert_eq!(
            part.run_id, merged.run_id,
            "one run, whoever drove a part of it"
        );
    }
    assert_one_load(&merged, &parts(directory, RANKS), CONCURRENCY);
    let prefix = merged
        .request_id_prefix
        .as_ref()
        .expect("no id is configured");
    for request in merged.requests.iter() {
        let id = format!("chatcmpl-{prefix}{:x}", request.index);
        assert!(engine_of_four.truth(&id).is_some(), "no request {id}");
    }
    let left = std::fs::read_dir(shared.results().join("servemark/chat_throughput/ranks"));
    assert_eq!(
        left.expect("the ranks met there").count(),
        0,
        "nothing is left"
    );

    let one = chat(&engine_of_one, CONCURRENCY).run(&[
        "--warm-up-time",
        "1.5",
        "--measurement-time",
        "5",
    ]);
    assert!(one.succeeded, "{}", one.text);
    let one = RunRecord::read(&one.record_path()).expect("a record");
    assert_eq!(one.windows.len(), merged.windows.len());
    let [merged, one] = [merged, one].map(|record| record.summary.expect("figures"));
    for (figure, merged, one) in [
        ("RPS", Some(merged.rps), Some(one.rps)),
        ("output tok/s", merged.output_tok_s, one.output_tok_s),
        (
            "input tok/s",
            Some(merged.input_tok_s),
            Some(one.input_tok_s),
        ),
        (
            "TTFT p50",
            merged.ttft_ms.map(|d| d.p50),
            one.ttft_ms.map(|d| d.p50),
        ),
        (
            "TPOT p50",
            merged.tpot_ms.map(|d| d.p50),
            one.tpot_ms.map(|d| d.p50),
        ),
        (
            "E2EL p50",
            merged.e2el_ms.map(|d| d.p50),
            one.e2el_ms.map(|d| d.p50),
        ),
        (
            "E2EL mean",
            merged.e2el_ms.map(|d| d.mean),
            one.e2el_ms.map(|d| d.mean),
        ),
    ] {
        let (merged, one) = merged.zip(one).expect("a figure");
        let difference = merged / one - 1.0;
        println!(
            "{figure}: four {merged:.3}, one {one:.3}, {:+.2} %",
            100.0 * difference
        );
        assert!(
            difference.abs() < TOLERANCE,
            "{figure}: four {merged}, one {one}"
        );
    }
}

/// Starts one process for each set of variables.
fn start(bench: &CargoBench, variables: &[Variables], arguments: &[String]) -> Vec<Child> {
    let executable = bench.executable();
    let start = |own: &Variables| -> Child {
        let mut command = bench.command(&executable);
        command.args(arguments).envs(own.iter().copied());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the bench runs")
    };
    variables.iter().map(start).collect()
}

fn ended(child: Child) -> Output {
    child.wait_with_output().expect("it ends")
}

/// Starts one process for each set of variables, and waits for all.
fn processes(bench: &CargoBench, variables: &[Variables], arguments: &[String]) -> Vec<Output> {
    let running = start(bench, variables, arguments);
    running.into_iter().map(ended).collect()
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes))
        .concat()
}

fn assert_all_end_with(code: i32, outputs: &[Output]) {
    for output in outputs {
        assert_eq!(output.status.code(), Some(code), "{}", text(output));
    }
}

#[test]
fn processes_of_slurm_share_a_load() {
    let engine = engine("");
    let bench = chat(&engine, 5);
    let step = ("SLURM_STEP_ID", "0");
    let job = ("SLURM_JOB_ID", "12");
    let size = ("SLURM_NTASKS", "2");
    let outputs = processes(
        &bench,
        &[
            &[job, step, size, ("SLURM_PROCID", "0")],
            &[job, step, size, ("SLURM_PROCID", "1")],
        ],
        &arguments("0.5", "2"),
    );
    assert_all_end_with(0, &outputs);
    assert!(outputs[1].stdout.is_empty(), "{}", text(&outputs[1]));
    assert!(
        text(&outputs[0]).contains("2, started by srun"),
        "{}",
        text(&outputs[0])
    );
    let record = bench.ran(&outputs[0]).record_path();
    let directory = record.parent().expect("a directory");
    assert_one_load(&record_in(directory), &parts(directory, 2), 5);
}

#[test]
fn processes_share_the_arrivals_of_an_open_loop() {
    const RATE: f64 = 40.0;
    let engine = engine("");
    let mut bench = chat(&engine, 5);
    bench
        .env("SERVEMARK_RANKS", "2")
        .env("SERVEMARK_LOAD_SHAPE", "open")
        .env("SERVEMARK_REQUEST_RATES", &RATE.to_string())
        .env("SERVEMARK_ARRIVALS", "constant");
    let outputs = processes(&bench, &TWO_PODS, &arguments("0.5", "3"));
    assert_all_end_with(0, &outputs);
    let record = bench.ran(&outputs[0]).record_path();
    let directory = record.parent().expect("a directory");
    let (merged, parts) = (record_in(directory), parts(directory, 2));
    assert_eq!(merged.level.to_string(), "rate=40");
    assert!(merged.windows.len() >= 2);
    let rps = merged.summary.as_ref().expect("figures").rps;
    assert!((rps / RATE - 1.0).abs() < 0.1, "{rps} req/s");
    for part in &parts {
        let mut arrivals = Vec::from_iter(part.requests.iter().map(|r| r.intended_ns));
        arrivals.sort_unstable();
        let gaps = arrivals.windows(2).map(|pair| pair[1] - pair[0]);
        let wanted_ns = 2e9 / RATE;
        assert!(
            gaps.clone().all(|gap| (gap as f64 - wanted_ns).abs() < 2.0),
            "every second arrival: {:?}",
            Vec::from_iter(gaps)
        );
    }
}

#[test]
fn pods_of_an_indexed_job_meet_in_the_directory_they_are_given() {
    let engine = engine("");
    let volume = tempfile::tempdir().expect("a temporary directory");
    let volume = volume.path().to_str().expect("a path in UTF-8");
    // More pods than requests in flight: the last has nothing to send, and all is well.
    let mut bench = chat(&engine, 2);
    bench
        .env("SERVEMARK_RANKS", "3")
        .env("SERVEMARK_RANKS_DIR", volume);
    let outputs = processes(
        &bench,
        &[
            &[("JOB_COMPLETION_INDEX", "0")],
            &[("JOB_COMPLETION_INDEX", "1")],
            &[("JOB_COMPLETION_INDEX", "2")],
        ],
        &arguments("0.5", "2"),
    );
    assert_all_end_with(0, &outputs);
    assert!(text(&outputs[0]).contains(volume), "{}", text(&outputs[0]));
    assert!(
        text(&outputs[2]).contains("nothing to do"),
        "{}",
        text(&outputs[2])
    );
    let record = bench.ran(&outputs[0]).record_path();
    let directory = record.parent().expect("a directory");
    let merged = record_in(directory);
    assert_eq!(merged.ranks.len(), 2);
    assert_eq!(merged.level.to_string(), "c=2");
    let failed = merged.summary.expect("figures").failed();
    assert_eq!(failed, 0);
}

#[test]
fn rank_0_alone_names_the_benchmarks() {
    let engine = engine("");
    let mut bench = chat(&engine, 4);
    bench.env("SERVEMARK_RANKS", "2");
    let outputs = processes(
        &bench,
        &TWO_PODS,
        &["--bench".to_owned(), "--list".to_owned()],
    );
    assert_all_end_with(0, &outputs);
    assert!(text(&outputs[0]).contains("chat_throughput/25/rps/c=4: benchmark"));
    assert!(outputs[1].stdout.is_empty(), "{}", text(&outputs[1]));
}
