//! The engine as a whole: options, replicas, threads, start and stop.

use std::net::{IpAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use socket2::SockRef;
use tokio::sync::oneshot;
use url::Url;

use super::driver::{Command, Driver, ScaledClock};
use super::engine_core::EngineCore;
use super::metrics::Metrics;
use super::options::EngineOptions;
use super::preset::Preset;
use super::replica::{Replica, Shared};
use super::text::{Vocabulary, escape, mix};
use super::truth::{RequestTruth, TruthLog};
use super::{EngineError, http};

/// vLLM's version whose protocol is simulated, marked as simulated.
pub(crate) const VERSION: &str = "0.32.0+servemark.simulated";

/// How long the HTTP threads get to end when the engine stops.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// Connections that may wait to be accepted, as many as with vLLM's HTTP server (uvicorn). The standard
/// library's 128 are fewer than a wave of requests opens at once: the rest would try again after a second.
const BACKLOG: i32 = 2048;

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
