//! Throughput of the embedded engine: token events per second over real sockets with no step delay, memory
//! per open stream, and runs per minute in virtual time.
//!
//! The engine is a process of its own (`servemark engine`), so that CPU and memory are its alone; the client
//! here does no more than count events, on one thread.
//!
//! `cargo bench --bench engine_speed`; with `-- --test` everything is run once and small.

mod engine_process;

use std::error::Error;
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};
use engine_process::{EngineProcess, address};
use memchr::memmem;
use servemark::internals::engine::Preset;
use servemark::internals::file_limit::raise_file_limit;
use servemark::internals::simulation::{VirtualLoad, VirtualSetup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return Ok(());
    }
    let small = arguments.iter().any(|argument| argument == "--test");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    raise_file_limit().unwrap_or_else(|error| eprintln!("warning: {error}"));

    let mut speed = table([
        "Streams",
        "Token events/s",
        "Engine CPU (µs/event)",
        "Engine cores",
    ]);
    let (levels, span) = match small {
        true => (&[1, 8][..], Duration::from_millis(100)),
        false => (&[1, 10, 100, 1_000][..], Duration::from_secs(5)),
    };
    for streams in levels {
        speed.add_row(runtime.block_on(throughput(*streams, span))?);
    }
    println!("\n## Streamed token events, no step delay (`--preset instant`)\n\n{speed}\n");

    let mut memory = table([
        "Open streams",
        "Engine memory (MB)",
        "Memory per stream (KB)",
    ]);
    for streams in if small {
        &[100][..]
    } else {
        &[1_000, 10_000][..]
    } {
        memory.add_row(runtime.block_on(idle(*streams))?);
    }
    println!("## Idle streams, each with one token sent\n\n{memory}\n");

    let mut virtual_time = table([
        "Preset",
        "Concurrency",
        "Runs/min",
        "Virtual seconds per second",
    ]);
    for (preset, concurrency) in [
        ("sim-small", 8),
        ("sim-small", 32),
        ("llama3-70b-h100-tp4", 64),
    ] {
        virtual_time.add_row(runs(preset, concurrency, small)?);
    }
    println!(
        "## Runs in virtual time (10 windows of 3 rounds, 100 prompt and 32 output tokens)\n\n{virtual_time}"
    );
    Ok(())
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header);
    table
}

/// A stream of `tokens` output tokens, just begun.
async fn stream(engine: &EngineProcess, tokens: usize) -> Result<TcpStream> {
    let body =
        format!("{{\"prompt\":[1],\"max_tokens\":{tokens},\"ignore_eos\":true,\"stream\":true}}");
    let mut socket = TcpStream::connect(address(&engine.url)).await?;
    let head = "POST /v1/completions HTTP/1.1\r\nhost: engine\r\nconnection: close";
    let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    socket.write_all(request.as_bytes()).await?;
    Ok(socket)
}

/// The engine's user and system time so far, where the system tells.
fn cpu(engine: &EngineProcess) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", engine.child.id())).ok()?;
    // Behind the command's name, which may hold anything, fields 14 and 15 are the 12th and 13th.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    // Linux counts this time in hundredths of a second on every platform of note.
    Some(Duration::from_millis(10 * ticks))
}

/// The engine's resident memory, where the system tells.
fn memory_bytes(engine: &EngineProcess) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", engine.child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(1024 * line.split_whitespace().nth(1)?.parse::<u64>().ok()?)
}

const NOT_KNOWN: &str = "n/a: no /proc";

/// Tokens per stream: enough that opening it does not count.
const TOKENS: usize = 4_000;

/// Keeps `streams` streams going for `span` and counts their events.
async fn throughput(streams: usize, span: Duration) -> Result<[String; 4]> {
    let engine = std::rc::Rc::new(EngineProcess::start(&["--preset=instant"])?);
    let begin = Instant::now();
    let cpu_before = cpu(&engine);
    let local = tokio::task::LocalSet::new();
    let workers: Vec<_> = (0..streams)
        .map(|_| local.spawn_local(count(engine.clone(), begin + span)))
        .collect();
    let events = local
        .run_until(async {
            let mut events = 0;
            for worker in workers {
                events += worker.await??;
            }
            Ok::<usize, Box<dyn Error>>(events)
        })
        .await?;
    let seconds = begin.elapsed().as_secs_f64();
    let cpu = cpu(&engine)
        .zip(cpu_before)
        .map(|(after, before)| after - before);
    let per_event = |cpu: Duration| format!("{:.2}", cpu.as_secs_f64() * 1e6 / events as f64);
    let cores = |cpu: Duration| format!("{:.2}", cpu.as_secs_f64() / seconds);
    Ok([
        streams.to_string(),
        format!("{:.0}", events as f64 / seconds),
        cpu.map_or(NOT_KNOWN.into(), per_event),
        cpu.map_or(NOT_KNOWN.into(), cores),
    ])
}

/// Reads streams one after another until `end` and counts their token events.
async fn count(engine: std::rc::Rc<EngineProcess>, end: Instant) -> Result<usize> {
    let event = memmem::Finder::new("\ndata: {");
    let mut buffer = vec![0; 64 << 10];
    let mut events = 0;
    while Instant::now() < end {
        let mut socket = stream(&engine, TOKENS).await?;
        let (mut kept, mut received) = (0, 0);
        loop {
            let read = socket.read(&mut buffer[kept..]).await?;
            if read == 0 {
                break;
            }
            let filled = kept + read;
            received += event.find_iter(&buffer[..filled]).count();
            // An event's mark may lie across two reads.
            let tail = filled.min(event.needle().len() - 1);
            buffer.copy_within(filled - tail..filled, 0);
            kept = tail;
        }
        if received != TOKENS {
            return Err(format!("a stream of {TOKENS} tokens had {received} events").into());
        }
        events += received;
    }
    Ok(events)
}

/// Opens `streams` streams that stall after their first token.
async fn idle(streams: usize) -> Result<[String; 3]> {
    let engine = EngineProcess::start(&["--preset=instant", "--faults=stall=1:600000"])?;
    let before = memory_bytes(&engine);
    let mut open = Vec::with_capacity(streams);
    let mut buffer = [0; 4096];
    for _ in 0..streams {
        let mut socket = stream(&engine, 2).await?;
        // Its first token: the stream is up and waits for the second.
        let mut seen = 0;
        while memmem::find(&buffer[..seen], b"data: {").is_none() {
            match socket.read(&mut buffer[seen..]).await? {
                0 => return Err("the engine closed a stream before its first token".into()),
                read => seen += read,
            }
        }
        open.push(socket);
    }
    let after = memory_bytes(&engine);
    let per_stream = |(after, before): (u64, u64)| {
        let bytes = after.saturating_sub(before) as f64 / streams as f64;
        format!("{:.1}", bytes / 1e3)
    };
    Ok([
        streams.to_string(),
        after.map_or(NOT_KNOWN.into(), |bytes| {
            format!("{:.1}", bytes as f64 / 1e6)
        }),
        after.zip(before).map_or(NOT_KNOWN.into(), per_stream),
    ])
}

/// Simulates runs one after another on this thread.
fn runs(preset: &str, concurrency: usize, small: bool) -> Result<[String; 4]> {
    let preset = Preset::named(preset)?;
    let count = if small { 1 } else { 200 };
    let begin = Instant::now();
    let mut virtual_s = 0.0;
    for seed in 0..count {
        let mut load = VirtualLoad::start(VirtualSetup {
            seeds: seed.into(),
            concurrency: concurrency.try_into()?,
            ..VirtualSetup::new(preset.clone())
        })?;
        for _ in 0..10 {
            virtual_s += load.window(3).wall_ns() as f64 * 1e-9;
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok([
        preset.name,
        concurrency.to_string(),
        format!("{:.0}", 60.0 * count as f64 / seconds),
        format!("{:.0}", virtual_s / seconds),
    ])
}
