use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokenizers::Tokenizer;

use crate::engine::{ContextOverflow, Engine, EngineOptions, Faults, Noise, Preset, Slowdown};
use crate::file_limit::raise_file_limit;
use crate::prompt::shipped_tokenizer;

const EXAMPLES: &str = "\
Examples:
  servemark engine --preset llama3-70b-h100-tp4 --port 8000 --replicas 2
      two replicas, on ports 8000 and 8001
  servemark engine --preset llama3-70b-h100-tp4 --speed 20
      the same model, 20 times as fast: its figures are in scaled time, and marked so
  servemark engine --slowdown decode=5%
      a \"new version\" whose decoding takes exactly 5 % longer
  servemark engine --noise step=0.02,drift=0.01:30,run=0.01,stall=0.1:200
      step times that vary like a real machine's (sigmas; seconds of the drift; stalls per second and their ms)
  servemark engine --faults http_503=0.05,cut=0.01,stall=0.02:3000
      one request in twenty is answered 503, one in a hundred is cut, one in fifty stalls for 3 s";

#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Arguments {
    /// What to simulate: a preset's name, or the path of a preset in JSON
    #[arg(long, value_name = "NAME|FILE.json", default_value = "sim-small")]
    preset: String,
    /// List the presets and the sources of their figures, and exit
    #[arg(long)]
    list_presets: bool,
    /// Print the preset as JSON, as the start of a preset of your own, and exit
    #[arg(long)]
    print_preset: bool,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port of the first replica; the others use the following ports; 0 for any free ports
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Independent servers, each with its own port, queue and KV cache
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    replicas: NonZeroUsize,
    /// Seed of texts, lengths, noise and faults
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Name of the served model [default: simulated/<preset>]
    #[arg(long, value_name = "NAME")]
    served_model_name: Option<String>,
    /// A tokenizer.json that counts prompts and provides the words of the output [default: the shipped one]
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Simulated seconds per second; durations of faults are not scaled
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
    /// Exact slowdown: 5%, or decode=5%,prefill=2%; negative is faster
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "",
        allow_hyphen_values = true
    )]
    slowdown: Slowdown,
    /// Noise of the step times in place of the preset's: step=0.02,drift=0.01:30,run=0.01,stall=0.1:200
    #[arg(long, value_name = "NOISE")]
    noise: Option<Noise>,
    /// Injected faults, by share of requests: refuse, http_429, http_500, http_503, reset, cut, malformed_sse,
    /// garbage, abort, error_event, empty, wrong_usage, no_usage, zero_usage as name=share; slow_headers, stall, drip
    /// as name=share:milliseconds
    #[arg(long, value_name = "FAULTS", default_value = "")]
    faults: Faults,
    /// Output tokens in one event, except the first, which has an event of its own (vLLM's --stream-interval)
    #[arg(long, alias = "stream-interval", value_name = "N", default_value_t = NonZeroU32::MIN)]
    tokens_per_chunk: NonZeroU32,
    /// Truncate the output where prompt and max_tokens exceed the context, instead of answering 400
    #[arg(long)]
    clamp_context: bool,
    /// Number of requests whose ground truth is kept for /servemark/truth/<request id>
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    truth_capacity: usize,
    /// Threads that serve HTTP
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    http_threads: NonZeroUsize,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.list_presets {
        return list_presets();
    }
    let preset = preset(&arguments.preset)?;
    if arguments.print_preset {
        println!("{}", serde_json::to_string_pretty(&preset)?);
        return Ok(ExitCode::SUCCESS);
    }
    if let Err(error) = raise_file_limit() {
        eprintln!("warning: {error}");
    }
    let engine = Engine::start(options(arguments, preset)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(serve_until_signal(&engine))?;
    Ok(ExitCode::SUCCESS)
}

fn list_presets() -> anyhow::Result<ExitCode> {
    for name in Preset::names() {
        let preset = Preset::named(name)?;
        println!("{name}\n  {}\n  {}\n", preset.summary, preset.source);
    }
    Ok(ExitCode::SUCCESS)
}

/// Loads a shipped preset by its name, or a user's own by its path.
pub fn preset(name: &str) -> anyhow::Result<Preset> {
    if !name.ends_with(".json") {
        return Ok(Preset::named(name)?);
    }
    let text = std::fs::read_to_string(name).with_context(|| format!("cannot read {name}"))?;
    Preset::from_json(&text).with_context(|| format!("in {name}"))
}

fn tokenizer(path: Option<&Path>) -> anyhow::Result<Tokenizer> {
    match path {
        None => Ok(shipped_tokenizer()?),
        Some(path) => Tokenizer::from_file(path)
            .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
            .context("--tokenizer expects a tokenizer.json"),
    }
}

fn options(arguments: Arguments, preset: Preset) -> anyhow::Result<EngineOptions> {
    let tokenizer = tokenizer(arguments.tokenizer.as_deref())?;
    let options = EngineOptions::new(preset, Arc::new(tokenizer));
    Ok(EngineOptions {
        host: arguments.host,
        port: Some(arguments.port),
        replicas: arguments.replicas.get(),
        seed: arguments.seed,
        model_name: arguments.served_model_name.unwrap_or(options.model_name),
        speed: arguments.speed,
        slowdown: arguments.slowdown,
        noise: arguments.noise,
        faults: arguments.faults,
        tokens_per_chunk: arguments.tokens_per_chunk,
        context_overflow: match arguments.clamp_context {
            true => ContextOverflow::Clamp,
            false => ContextOverflow::Reject,
        },
        truth_capacity: arguments.truth_capacity,
        http_threads: arguments.http_threads,
        ..options
    })
}

/// Prints what runs where. Only the addresses go to stdout, one per line, for scripts.
fn announce(engine: &Engine) -> anyhow::Result<()> {
    eprintln!(
        "SIMULATED vLLM: {} as model {}; none of its figures is a GPU's.",
        engine.label(),
        engine.model_name()
    );
    eprintln!("{}", engine.preset().summary);
    for url in engine.urls() {
        println!("{url}");
    }
    // The process may run for long: a full device is reported now.
    crate::stdio::flush().context("the addresses cannot be printed")?;
    eprintln!("Ready. Ctrl-C ends it.");
    Ok(())
}

/// Listens for signals, announces the engine, and waits until a signal ends it.
#[cfg(unix)]
async fn serve_until_signal(engine: &Engine) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    announce(engine)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Announces the engine and waits for Ctrl-C.
#[cfg(not(unix))]
async fn serve_until_signal(engine: &Engine) -> anyhow::Result<()> {
    announce(engine)?;
    Ok(tokio::signal::ctrl_c().await?)
}
