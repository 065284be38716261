//! The engine as a whole: options, replicas, threads, start and stop.

use std::fmt;
use std::net::{IpAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use socket2::SockRef;
use tokio::sync::oneshot;
use url::Url;

use super::driver::{Driver, DriverCommand, ScaledClock};
use super::engine_core::EngineCore;
use super::metrics::Metrics;
use super::options::EngineOptions;
use super::preset::Preset;
use super::replica::{Replica, Shared};
use super::text::{Vocabulary, escape, mix};
use super::truth::{RequestTruth, TruthLog};
use super::{EngineError, VERSION, http};

/// How long the HTTP threads may take to end when the engine stops.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// Connections that may wait to be accepted, the same number as in vLLM's HTTP server (uvicorn). A wave of requests opens
/// more than the standard library's 128 at once; the rest would retry after a second.
const BACKLOG: i32 = 2048;

/// A running simulated vLLM. Dropping it stops every replica.
pub struct Engine {
    urls: Vec<Url>,
    shared: Arc<Shared>,
    drivers: Vec<(mpsc::Sender<DriverCommand>, JoinHandle<()>)>,
    http: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Engine {
    /// Starts the engine on threads of its own. When this returns, its ports accept connections.
    ///
    /// # Errors
    /// [`EngineError`] for an invalid option or preset, a tokenizer without usable tokens,
    /// a port that cannot be used, or threads that cannot be started.
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

    /// The preset's name and every difference of this engine from it, as in the header
    /// [`SIMULATED_HEADER`](super::SIMULATED_HEADER).
    pub fn label(&self) -> &str {
        &self.shared.label
    }

    /// The origin of [`RequestTruth`]'s nanoseconds, on the process's monotonic clock.
    pub fn epoch(&self) -> Instant {
        self.shared.epoch
    }

    /// The ground truth of a request, by the `id` of its response; `None` if it is unknown
    /// or later requests have replaced it.
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
                EngineError::InvalidOption {
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
            options.seed.into(),
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

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({})", self.label())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for (commands, _) in &self.drivers {
            let _ = commands.send(DriverCommand::Stop);
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
            u16::try_from(usize::from(base) + index).map_err(|_| EngineError::InvalidOption {
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
    SockRef::from(&listener).listen(BACKLOG).map_err(failed)?;
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

/// The present time on the clock that all processes share.
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

/// Serves HTTP on a runtime with a thread of its own, separate from the caller's.
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
