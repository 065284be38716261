//! The engine as a whole: options, replicas, threads, start and stop.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokenizers::Tokenizer;
use tokio::sync::oneshot;
use url::Url;

use super::driver::{Command, Driver, ScaledClock};
use super::engine_core::EngineCore;
use super::faults::Faults;
use super::metrics::Metrics;
use super::noise::Noise;
use super::preset::Preset;
use super::replica::{Replica, Shared};
use super::step_time::Slowdown;
use super::text::{Vocabulary, escape, mix};
use super::truth::{RequestTruth, TruthLog};
use super::{EngineError, http};

/// vLLM's version whose protocol is simulated, marked as simulated.
const VERSION: &str = "0.32.0+servemark.simulated";

/// How long the HTTP threads get to end when the engine stops.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// What to do where prompt and `max_tokens` together exceed `max_model_len`.
/// A prompt that fills the context alone is refused either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContextOverflow {
    /// Answer 400, as earlier vLLM did.
    #[default]
    Reject,
    /// Generate what fits, as vLLM 0.32 does.
    Clamp,
}

/// How to start an [`Engine`]. Build with [`EngineOptions::new`] and struct update.
#[derive(Clone)]
pub struct EngineOptions {
    /// What to simulate.
    pub preset: Preset,
    /// Independent servers, each with its own port, queue and KV cache. Default 1.
    pub replicas: usize,
    /// Address to listen on. Default 127.0.0.1.
    pub host: IpAddr,
    /// Port of the first replica; the others follow. Default: any free ports.
    pub port: Option<u16>,
    /// Seed of texts, lengths, noise and faults. Default 0.
    pub seed: u64,
    /// Counts prompt tokens and lends its vocabulary to the output.
    pub tokenizer: Arc<Tokenizer>,
    /// The served model's name. Default `simulated/<preset>`.
    pub model_name: String,
    /// What goes wrong. Default nothing. Durations of faults are not scaled by `speed`.
    pub faults: Faults,
    /// Steps take 1/`speed` of their time. Default 1.
    pub speed: f64,
    /// Makes steps slower by exact factors. Default none.
    pub slowdown: Slowdown,
    /// Noise of the step times in place of the preset's. Default: the preset's.
    pub noise: Option<Noise>,
    /// Output tokens in one event, but for the first, which has an event of its own
    /// (vLLM's `--stream-interval`). Default 1.
    pub tokens_per_chunk: NonZeroU32,
    /// What to do with requests that exceed the context. Default [`ContextOverflow::Reject`].
    pub context_overflow: ContextOverflow,
    /// How many requests' truth is kept; fewer where outputs are long (four million
    /// tokens in all). Default 10,000.
    pub truth_capacity: usize,
    /// Threads that serve HTTP. Default 1.
    pub http_threads: NonZeroUsize,
}

impl fmt::Debug for EngineOptions {
    /// Without the tokenizer, which would fill pages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineOptions")
            .field("preset", &self.preset.name)
            .field("replicas", &self.replicas)
            .field("port", &self.port)
            .field("seed", &self.seed)
            .field("model_name", &self.model_name)
            .field("faults", &self.faults)
            .field("speed", &self.speed)
            .field("slowdown", &self.slowdown)
            .field("noise", &self.noise)
            .finish_non_exhaustive()
    }
}

impl EngineOptions {
    /// One replica of `preset` on a free port, without faults, at real speed.
    pub fn new(preset: Preset, tokenizer: Arc<Tokenizer>) -> EngineOptions {
        EngineOptions {
            model_name: format!("simulated/{}", preset.name),
            preset,
            replicas: 1,
            host: Ipv4Addr::LOCALHOST.into(),
            port: None,
            seed: 0,
            tokenizer,
            faults: Faults::default(),
            speed: 1.0,
            slowdown: Slowdown::NONE,
            noise: None,
            tokens_per_chunk: NonZeroU32::MIN,
            context_overflow: ContextOverflow::default(),
            truth_capacity: 10_000,
            http_threads: NonZeroUsize::MIN,
        }
    }

    /// The preset's name and every way in which the engine strays from it, for all
    /// figures that come of it: `sim-small; speed=20; slowdown=decode=5%`.
    fn label(&self) -> String {
        let mut label = self.preset.name.clone();
        let mut add = |name: &str, value: String| {
            if !value.is_empty() {
                label.push_str(&format!("; {name}={value}"));
            }
        };
        if self.speed != 1.0 {
            add("speed", self.speed.to_string());
        }
        add("slowdown", self.slowdown.to_string());
        if let Some(noise) = self.noise.filter(|noise| *noise != self.preset.noise) {
            let text = noise.to_string();
            add("noise", if text.is_empty() { "none".into() } else { text });
        }
        add("faults", self.faults.to_string());
        if self.tokens_per_chunk > NonZeroU32::MIN {
            add("tokens_per_chunk", self.tokens_per_chunk.to_string());
        }
        label
    }

    fn check(&self) -> Result<(), EngineError> {
        self.preset.check()?;
        let bad = |option, problem: &str| {
            Err(EngineError::BadOption {
                option,
                problem: problem.to_owned(),
            })
        };
        if !(1..=1024).contains(&self.replicas) {
            return bad("replicas", "must be 1 to 1024");
        }
        if !(self.speed.is_finite() && self.speed > 0.0) {
            return bad("speed", "must be a number above 0");
        }
        let factors = [self.slowdown.prefill, self.slowdown.decode];
        if !factors
            .iter()
            .all(|factor| factor.is_finite() && *factor >= 0.0)
        {
            return bad("slowdown", "its factors must be numbers of 0 or more");
        }
        if let Some(problem) = self.noise.and_then(|noise| noise.problem()) {
            return bad("noise", &problem);
        }
        if self.model_name.is_empty() {
            return bad("model_name", "must not be empty");
        }
        Ok(())
    }
}

/// A running simulated vLLM. Dropping it stops every replica.
#[derive(Debug)]
pub struct Engine {
    urls: Vec<Url>,
    shared: Arc<Shared>,
    drivers: Vec<(mpsc::Sender<Command>, JoinHandle<()>)>,
    http: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Engine {
    /// Starts the engine on threads of its own. When this returns, its ports accept connections.
    ///
    /// # Errors
    /// [`EngineError`] for a bad option or preset, a tokenizer without usable tokens,
    /// a port that cannot be had, or threads that cannot be started.
    pub fn start(options: EngineOptions) -> Result<Engine, EngineError> {
        options.check()?;
        let listeners = (0..options.replicas)
            .map(|index| listen(options.host, options.port, index))
            .collect::<Result<Vec<_>, _>>()?;
        let urls = listeners.iter().map(|(_, url)| url.clone()).collect();
        let shared = Arc::new(shared(&options)?);
        let mut engine = Engine {
            urls,
            shared,
            drivers: Vec::new(),
            http: None,
        };
        let mut servers = Vec::new();
        for (index, (listener, _)) in listeners.into_iter().enumerate() {
            let replica = engine.start_driver(&options, index)?;
            servers.push((listener, replica));
        }
        engine.http = Some(serve(servers, options.http_threads)?);
        Ok(engine)
    }

    /// Base URL of each replica, such as `http://127.0.0.1:41234/`.
    pub fn urls(&self) -> &[Url] {
        &self.urls
    }

    /// The preset it simulates.
    pub fn preset(&self) -> &Preset {
        &self.shared.preset
    }

    /// The served model's name.
    pub fn model_name(&self) -> &str {
        &self.shared.model_name
    }

    /// The preset's name and every way in which this engine strays from it, as in the header
    /// [`SIMULATED_HEADER`](super::SIMULATED_HEADER).
    pub fn label(&self) -> &str {
        &self.shared.label
    }

    /// The time that [`RequestTruth`]'s nanoseconds count from, on the process' monotonic clock.
    pub fn epoch(&self) -> Instant {
        self.shared.epoch
    }

    /// The truth about a request, by the `id` of its response; `None` if it is
    /// unknown or has been dropped for later ones.
    pub fn truth(&self, request_id: &str) -> Option<RequestTruth> {
        self.shared.truth.get(request_id)
    }

    fn start_driver(
        &mut self,
        options: &EngineOptions,
        index: usize,
    ) -> Result<Arc<Replica>, EngineError> {
        let metrics =
            Metrics::new(&options.model_name, &options.preset.scheduler).map_err(|error| {
                EngineError::BadOption {
                    option: "model_name",
                    problem: error.to_string(),
                }
            })?;
        let metrics = Arc::new(metrics);
        let (commands, receiver) = mpsc::channel();
        let core = EngineCore::new(
            &options.preset,
            options.noise.unwrap_or(options.preset.noise),
            options.slowdown,
            options.seed,
            index,
        );
        let clock = ScaledClock {
            epoch: self.shared.epoch,
            speed: options.speed,
        };
        let driver = Driver::new(core, clock, metrics.clone());
        let thread = std::thread::Builder::new()
            .name(format!("engine-{index}"))
            .spawn(move || driver.run(receiver))
            .map_err(EngineError::Threads)?;
        self.drivers.push((commands.clone(), thread));
        Ok(Arc::new(Replica {
            index,
            shared: self.shared.clone(),
            metrics,
            commands,
            requests: AtomicU64::new(0),
            sequences: AtomicU64::new(0),
        }))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for (commands, _) in &self.drivers {
            let _ = commands.send(Command::Stop);
        }
        if let Some((stop, thread)) = self.http.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
        for (_, thread) in self.drivers.drain(..) {
            let _ = thread.join();
        }
    }
}

fn listen(
    host: IpAddr,
    base: Option<u16>,
    index: usize,
) -> Result<(TcpListener, Url), EngineError> {
    let port = match base {
        None | Some(0) => 0,
        Some(base) => {
            u16::try_from(usize::from(base) + index).map_err(|_| EngineError::BadOption {
                option: "port",
                problem: format!(
                    "replica {index} would get port {}",
                    usize::from(base) + index
                ),
            })?
        }
    };
    let failed = |source| EngineError::Listen { host, port, source };
    let listener = TcpListener::bind((host, port)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let url = Url::parse(&format!("http://{address}"))
        .map_err(|error| failed(std::io::Error::other(error)))?;
    Ok((listener, url))
}

fn shared(options: &EngineOptions) -> Result<Shared, EngineError> {
    let identity = format!("{}{:?}", escape(&options.model_name), options.preset);
    let hash = identity
        .bytes()
        .fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(Shared {
        preset: options.preset.clone(),
        model_name: options.model_name.clone(),
        version: VERSION.to_owned(),
        fingerprint: format!("vllm-{VERSION}-{:08x}", hash >> 32),
        created: now.as_secs(),
        tokenizer: options.tokenizer.clone(),
        vocabulary: Arc::new(Vocabulary::from_tokenizer(&options.tokenizer)?),
        truth: TruthLog::new(options.truth_capacity),
        epoch: Instant::now(),
        epoch_monotonic_ns: monotonic_ns(),
        seed: options.seed,
        faults: options.faults,
        context_overflow: options.context_overflow,
        label: options.label(),
        tokens_per_chunk: options.tokens_per_chunk,
    })
}

/// Now on the clock that all processes share.
#[cfg(unix)]
fn monotonic_ns() -> Option<u64> {
    use nix::time::{ClockId, clock_gettime};
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?;
    Some(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}

#[cfg(not(unix))]
fn monotonic_ns() -> Option<u64> {
    None
}

/// Serves HTTP on a runtime that lives on its own thread, apart from the caller's.
fn serve(
    servers: Vec<(TcpListener, Arc<Replica>)>,
    threads: NonZeroUsize,
) -> Result<(oneshot::Sender<()>, JoinHandle<()>), EngineError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.get())
        .thread_name("engine-http")
        .enable_io()
        .enable_time()
        .build()
        .map_err(EngineError::Threads)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, is_ready) = mpsc::channel();
    let host = move || {
        let started = runtime.block_on(async {
            servers
                .into_iter()
                .map(|(listener, replica)| http::spawn(listener, replica))
                .collect::<std::io::Result<Vec<()>>>()
        });
        let _ = ready.send(started.map(drop));
        let _ = runtime.block_on(stopped);
        runtime.shutdown_timeout(STOP_PATIENCE);
    };
    let thread = std::thread::Builder::new()
        .name("engine-http-host".to_owned())
        .spawn(host)
        .map_err(EngineError::Threads)?;
    match is_ready.recv() {
        Ok(Ok(())) => Ok((stop, thread)),
        Ok(Err(error)) => Err(EngineError::Threads(error)),
        Err(_) => Err(EngineError::Threads(std::io::Error::other(
            "the HTTP thread ended",
        ))),
    }
}
