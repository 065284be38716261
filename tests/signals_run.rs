//! Ctrl-C, SIGTERM and SIGHUP while `servemark run` writes its record or its figures: both come out whole, and the
//! exit code is the signal's. What it writes to is a pipe that the test reads only after the signal.
#![cfg(unix)]

mod cargo_bench;
mod engines;
mod signalled;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Command;

use cargo_bench::CargoBench;
use engines::engine;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use servemark::RunRecord;
use servemark::internals::engine::{Engine, Preset};
use signalled::{Process, each, full_pipe, signals, within};

/// At least as large as the buffer of a pipe (bytes).
const PIPE: usize = 1 << 16;

/// `servemark run` in a directory of its own, against a server that answers at once.
fn run(bench: &CargoBench, concurrency: &str, max_tokens: &str, output: &[&str]) -> Command {
    let mut command = bench.command(env!("CARGO_BIN_EXE_servemark"));
    command
        .current_dir(bench.results())
        .args(["run", "--prompt", "25", "--concurrency", concurrency])
        .args(["--max-tokens", max_tokens, "--windows", "10"])
        .args(["--warm-up", "0.05", "--duration", "0.2"])
        .args(output);
    command
}

fn bench_against(server: &Engine) -> CargoBench {
    let mut bench = CargoBench::new("chat_throughput");
    bench.env("SERVEMARK_MODEL_ENDPOINTS", server.urls()[0].as_str());
    bench
}

fn instant() -> Engine {
    engine(|options| options.preset = Preset::named("instant").expect("a shipped preset"))
}

fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).expect("readable");
    bytes
}

/// A signal is heard; the process waits for what it writes to be read.
fn interrupt(process: &mut Process, (signal, name): (Signal, &str)) {
    process.signal(signal);
    process.until(&format!("{name}: ending"));
}

fn assert_ended(process: Process, signal: Signal, context: &str) -> String {
    let (status, said) = process.end();
    let context = format!("{context}:\n{said}");
    assert_eq!(status.code(), Some(128 + signal as i32), "{context}");
    let is_fine = !said.contains("panicked") && !said.contains("error:");
    assert!(is_fine, "{context}");
    said
}

#[test]
fn a_record_that_is_being_written_comes_out_whole() {
    each(Vec::from_iter(signals()), |(signal, name)| {
        let server = instant();
        let bench = bench_against(&server);
        let path = bench.results().join("servemark/run/25/c=16/new.json");
        fs::create_dir_all(path.parent().expect("a directory")).expect("created");
        mkfifo(&path, Mode::S_IRWXU).expect("a named pipe");
        let at = || path.clone();
        // More than a pipe holds: 2560 numbers and commas in each of ten windows or more.
        let mut process = Process::start(run(&bench, "16,32", "256", &[]));
        // Once the point is measured the record of the run before is read: an empty one.
        let record = at();
        within("a look at the run before", move || {
            drop(File::options().write(true).open(record).expect("opened"));
        });
        let record = at();
        let written = within("a record", move || File::open(record).expect("opened"));
        interrupt(&mut process, (signal, name));
        let record = within("all of the record", move || read_all(written));
        assert!(record.len() > PIPE, "{} bytes", record.len());
        // The run reads its records again for what it shows.
        let (again, bytes) = (at(), record.clone());
        within("the record again", move || {
            fs::write(again, bytes).expect("read to its end");
        });
        let said = assert_ended(process, signal, name);
        assert!(said.contains("## run"), "the table is shown: {said}");
        assert!(!said.contains("[2/2]"), "no further point begins: {said}");
        fs::remove_file(&path).expect("removed");
        fs::write(&path, &record).expect("written");
        let record = RunRecord::read(&path).expect("a record");
        assert_eq!(record.partial, None, "all of it was measured");
        assert_eq!(record.windows.len(), 10);
        let requests = record.windows.iter().map(|window| window.requests);
        assert_eq!(record.requests.iter().count(), requests.sum::<usize>());
        let further = bench.results().join("servemark/run/25/c=32/new.json");
        assert!(!further.exists(), "{said}");
    });
}

/// What `servemark results` shows of the run, in this format.
fn shown_again(bench: &CargoBench, format: &str) -> String {
    let mut results = bench.command(env!("CARGO_BIN_EXE_servemark"));
    results.args(["results", "--format", format]);
    let output = results.output().expect("the command runs");
    String::from_utf8(output.stdout).expect("text")
}

fn assert_whole(written: &str, format: &str, bench: &CargoBench, context: &str) {
    let again = shown_again(bench, format);
    assert!(again.len() > 200, "{context}: {again}");
    if format != "table" {
        return assert_eq!(written, again, "{context}");
    }
    // The run has notes of its own below the tables.
    let tables = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with(['#', '|']));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(tables(written), tables(&again), "{context}");
    assert!(written.ends_with('\n'), "{context}: {written}");
}

/// Checks every signal with every format, each against an engine of its own.
fn each_signal_of(
    formats: &[&'static str],
    check: impl Fn(&str, &CargoBench, (Signal, &'static str)) + Sync,
) {
    let with_signals = |format: &&'static str| {
        let format = *format;
        signals().map(move |signal| (format, signal))
    };
    let cases = Vec::from_iter(formats.iter().flat_map(with_signals));
    each(cases, |(format, signal)| {
        let server = engine(|_| {});
        check(format, &bench_against(&server), signal);
    });
}

#[test]
fn figures_that_are_being_printed_come_out_whole() {
    each_signal_of(
        &["table", "csv", "markdown", "json", "vllm"],
        |format, bench, (signal, name)| {
            let (reader, writer, filled) = full_pipe();
            let command = run(bench, "2", "4", &["--format", format]);
            let mut process = Process::start_with_stdout(command, writer.into());
            // The figures are printed by then, and have not left the process.
            process.until("Keep this run");
            interrupt(&mut process, (signal, name));
            let printed = within("the figures", move || read_all(reader));
            let context = format!("{format} {name}");
            assert_ended(process, signal, &context);
            let printed = std::str::from_utf8(&printed[filled..]).expect("text");
            assert_whole(printed, format, bench, &context);
        },
    );
}

#[test]
fn a_second_signal_does_not_wait_for_the_reader_of_the_figures() {
    // Figures that pipes and buffers hold, and figures that they do not.
    let cases = [("2", "4", "table"), ("16", "256", "vllm")];
    each(cases, |(concurrency, tokens, format)| {
        let server = instant();
        let bench = bench_against(&server);
        let (mut reader, writer, filled) = full_pipe();
        let command = run(&bench, concurrency, tokens, &["--format", format]);
        let mut process = Process::start_with_stdout(command, writer.into());
        // Held to the end of the test, and read no further.
        let _reader = match format {
            "table" => {
                process.until("Keep this run");
                reader
            }
            _ => within("figures", move || {
                let mut printed = vec![0; filled + 1];
                reader.read_exact(&mut printed).expect("their first byte");
                reader
            }),
        };
        interrupt(&mut process, (Signal::SIGTERM, "SIGTERM"));
        process.signal(Signal::SIGINT);
        let (status, said) = within("its end", || process.end());
        assert_eq!(status.code(), Some(130), "{format}: {said}");
        let path = format!("servemark/run/25/c={concurrency}/new.json");
        let record = RunRecord::read(&bench.results().join(path));
        assert!(record.is_ok(), "{format}: {said}");
    });
}

#[test]
fn figures_that_are_being_written_to_a_file_come_out_whole() {
    each_signal_of(&["csv", "json", "vllm"], |format, bench, (signal, name)| {
        let path = bench.results().join("figures.jsonl");
        mkfifo(&path, Mode::S_IRWXU).expect("a named pipe");
        let output = ["--format", format, "--output", "figures.jsonl"];
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let command = run(bench, "2", "4", &output);
        let mut process = Process::start_with_stdout(command, writer.into());
        // The table comes first; then the file is opened, which waits for its reader.
        let mut reader = within("the table", move || {
            reader.read_exact(&mut [0]).expect("its first byte");
            reader
        });
        interrupt(&mut process, (signal, name));
        let written = within("the file", move || read_all(open(&path)));
        let mut table = Vec::new();
        reader.read_to_end(&mut table).expect("the rest");
        let context = format!("{format} {name}");
        assert_ended(process, signal, &context);
        assert!(
            String::from_utf8_lossy(&table).contains("tok/s"),
            "{context}"
        );
        let written = std::str::from_utf8(&written).expect("text");
        assert_whole(written, format, bench, &context);
    });
}

fn open(path: &Path) -> File {
    File::open(path).expect("opened")
}
