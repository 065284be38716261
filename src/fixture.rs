//! The resources shared by all points of a run: endpoints, tokenizer, HTTP client, clock, runtime.

mod error;
mod load_runtime;
mod sampler;
mod scrape;
mod servers;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::client::{Clock, Connections, HttpClientError, REQUEST_ID, http_client};
use crate::config::{Deployment, EndpointUrl, Settings};
use crate::deployment::{DeploymentError, Running};
use crate::dialect::Dialect;
use crate::embedded::{EmbeddedLayout, Engines};
use crate::endpoint::{EndpointError, Endpoints, Http, Prober, Scraper, TrialRequest};
use crate::file_limit::raise_file_limit;
use crate::interrupt::Interrupt;
pub use error::FixtureError;
pub(crate) use load_runtime::LOAD_THREADS;
pub use load_runtime::load_runtime;
pub use sampler::Sampler;
pub use scrape::{Scrape, intervals};

use crate::prompt::{
    Loaded, ServerTokenizer, SpecialTokens, TokenCounter, TokenizeError, TokenizerLookup,
    TokenizerSource,
};
use crate::redact;
use crate::terminal::Spinner;
use crate::tls::{INSECURE, Tls};

use servers::{Servers, ready, ready_launched};

/// Everything that is booted once per run, or per deployment, and then only read. Dropped it ends what it has
/// started: threads, engines, servers.
pub struct Fixture {
    /// Runs the load.
    pub runtime: Runtime,
    /// The connections of the load.
    pub connections: Connections,
    /// The run's clock.
    pub clock: Clock,
    /// Asks the endpoints what they count.
    pub scraper: Arc<Scraper>,
    /// The servers under load; each was ready and serves the model.
    pub endpoints: Endpoints,
    /// The two sides of an A/B run, the one before first.
    pub sides: Option<[Side; 2]>,
    /// Counts prompts.
    pub counter: Arc<TokenCounter>,
    /// The seed of prompts.
    pub seed: u64,
    /// Start of every request's `X-Request-Id`, which tells this process's requests from all
    /// others'; the index in hexadecimal follows. `None` where `MODEL_HEADERS` sets the header.
    pub request_id_prefix: Option<String>,
    /// Kept alive as long as the fixture.
    servers: Servers,
}

/// A side of an A/B run.
pub struct Side {
    /// Its name.
    pub name: String,
    /// Its servers.
    pub endpoints: Endpoints,
    /// Where they stand among all.
    pub place: Range<usize>,
}

impl Fixture {
    /// The fixture of one deployment: its servers are started here if it has a command, and stopped when
    /// the fixture is dropped. `config` is the deployment's; the servers' logs go into `logs`.
    ///
    /// Must be called from a thread that outlives the fixture.
    ///
    /// # Errors
    /// Why it could not be booted; what was started has been stopped.
    pub(crate) fn of_deployment(
        config: &Settings,
        dialect: &'static dyn Dialect,
        deployment: &Deployment,
        logs: &Path,
        interrupt: &Interrupt,
    ) -> Result<Fixture, FixtureError> {
        // Its log may repeat them before the first request.
        let mut secrets = config.secrets();
        deployment.add_secrets(&mut secrets);
        redact::learn(secrets);
        let model = config.model_path.as_deref();
        let servers = match Running::start(deployment, model, logs)? {
            Some(running) => {
                let (count, logs) = (deployment.replicas(), logs.display());
                eprintln!("started {count} server(s); their logs are in {logs}");
                Servers::Launched(Box::new(running))
            }
            None => Servers::Listed,
        };
        let urls = deployment.endpoints().to_vec();
        Fixture::with((config, dialect, true), servers, urls, interrupt)
    }

    /// The fixture of a built-in layout, whose engines are embedded.
    ///
    /// # Errors
    /// Why it could not be booted.
    pub(crate) fn of_layout(
        config: &Settings,
        dialect: &'static dyn Dialect,
        layout: &EmbeddedLayout,
        interrupt: &Interrupt,
    ) -> Result<Fixture, FixtureError> {
        let engines = Engines::boot_layout(layout, config.seed.unwrap_or_default())?;
        let urls = engines.urls()?;
        Fixture::with(
            (config, dialect, true),
            Servers::Embedded(engines),
            urls,
            interrupt,
        )
    }

    /// A server that was started for the fixture and has ended, which none should.
    pub fn died(&self) -> Option<DeploymentError> {
        match &self.servers {
            Servers::Launched(running) => running.died(),
            Servers::Listed | Servers::Embedded(_) => None,
        }
    }

    /// The fixture of a run: its endpoints, or the embedded engine where none is configured.
    ///
    /// The load will speak `dialect`. With `verbose` it prints on stderr what was found. Booting ends at a signal. Must be
    /// dropped outside of any runtime.
    ///
    /// # Errors
    /// Why it could not be booted; nothing of it is left.
    pub(crate) fn boot(
        config: &Settings,
        dialect: &'static dyn Dialect,
        verbose: bool,
        interrupt: &Interrupt,
    ) -> Result<Fixture, FixtureError> {
        let mut config = config.clone();
        let seed = *config.seed.get_or_insert_with(rand::random);
        let urls = config.endpoints();
        let (servers, urls) = match urls.is_empty() {
            true => {
                let _spinner = Spinner::start("booting the embedded simulated engine");
                let engines = Engines::boot(seed)?;
                let urls = engines.urls()?;
                (Servers::Embedded(engines), urls)
            }
            false => (Servers::Listed, urls),
        };
        Fixture::with((&config, dialect, verbose), servers, urls, interrupt)
    }

    /// Waits until all endpoints are ready, asks for their identity, and finds the tokenizer. `urls` excludes
    /// launched servers, which know their own.
    fn with(
        (config, dialect, verbose): (&Settings, &'static dyn Dialect, bool),
        mut servers: Servers,
        urls: Vec<EndpointUrl>,
        interrupt: &Interrupt,
    ) -> Result<Fixture, FixtureError> {
        let tls = Tls::new(config).map_err(HttpClientError::from)?;
        let http = http_client(config, &tls)?;
        let connections = Connections::over(&tls);
        let runtime = load_runtime()?;
        // Only what a run opens counts against the limit: a low one may still be enough.
        let levels = config.levels().into_iter();
        let most = levels.map(|level| config.most_in_flight(level).get()).max();
        if let Err(error) = raise_file_limit()
            && most.unwrap_or(0) as u64 * FILES_PER_REQUEST > error.limit
        {
            eprintln!("warning: {error}");
        }
        let questions = Http::new(http.clone(), config.request_headers());
        let trial = TrialRequest::new(connections.clone(), config, dialect);
        let is_embedded = matches!(servers, Servers::Embedded(_));
        if !is_embedded && verbose {
            let limit = config.ready_timeout.as_secs_f64();
            let count = match &servers {
                Servers::Launched(running) => running.urls().len(),
                _ => urls.len(),
            };
            eprintln!("waiting for {count} endpoint(s), at most {limit:.0} s (READY_TIMEOUT)");
        }
        // MODEL_PATH names the model of the user's servers; the embedded engine serves its own.
        let prober = Prober {
            http: &questions,
            trial: &trial,
            urls: &urls,
            model_path: config.model_path.as_deref().filter(|_| !is_embedded),
        };
        let limit = config.ready_timeout;
        let endpoints = match &mut servers {
            Servers::Launched(running) => {
                let ready = ready_launched(prober, limit, running);
                runtime.block_on(interrupt.or(ready))??
            }
            _ => runtime.block_on(interrupt.or(ready(prober, limit)))??,
        };
        let spinner = Spinner::start("looking for the tokenizer");
        let loaded = match is_embedded {
            // The embedded engine counts with the shipped tokenizer: it is the model's own.
            true => Loaded {
                counter: TokenCounter::shipped()?,
                warnings: Vec::new(),
            },
            false => tokenizer(config, &endpoints, &http, &runtime)?,
        };
        drop(spinner);
        interrupt.check()?;
        let fixture = Fixture {
            runtime,
            connections,
            clock: Clock::start(),
            scraper: Arc::new(Scraper::new(questions, &endpoints)),
            sides: config
                .ab
                .as_ref()
                .map(|ab| sides(ab, &endpoints))
                .transpose()?,
            endpoints,
            counter: Arc::new(loaded.counter),
            seed: config.seed.unwrap_or_else(rand::random),
            request_id_prefix: (!config.model_headers.contains_key(REQUEST_ID))
                .then(|| format!("servemark-{:08x}-", rand::random::<u32>())),
            servers,
        };
        if verbose {
            if config.insecure {
                eprintln!("INSECURE: {INSECURE}.");
            }
            fixture.announce();
            for warning in loaded.warnings {
                eprintln!("warning: {warning}");
            }
        }
        Ok(fixture)
    }

    fn announce(&self) {
        if self.endpoints.simulated().is_some() {
            eprintln!(
                "SIMULATED: no figure below is a GPU's. Put your servers' URLs in MODEL_ENDPOINTS \
                 (fixtures/parameters.json) or SERVEMARK_MODEL_ENDPOINTS to measure them."
            );
        }
        for endpoint in &self.endpoints {
            eprintln!("endpoint  {}", endpoint.identity);
            if let Some(note) = endpoint.note() {
                eprintln!("note      {note}");
            }
        }
        let model = redact::line(self.endpoints.model(), redact::MOST_OF_NAME);
        eprintln!("model     {model}");
        eprintln!("tokenizer {}", self.counter.source());
        eprintln!("seed      {} (SEED repeats these prompts)", self.seed);
    }

    /// Whether every endpoint is vLLM (or simulates it), and so understands its parameters.
    pub fn all_vllm(&self) -> bool {
        self.endpoints.iter().all(|e| e.identity.is_vllm)
    }

    /// Whether the tokenizer is surely the one that the server counts with, and asking it costs nothing.
    pub fn counts_as_the_server(&self) -> bool {
        match self.counter.source() {
            TokenizerSource::File(_) => true,
            TokenizerSource::Server(_) => false,
            TokenizerSource::Shipped => self.endpoints.simulated().is_some(),
        }
    }

    /// Tokens of a generated text.
    pub fn count_output(&self, text: &str) -> Option<u32> {
        let tokens = self.counter.count(text, SpecialTokens::None).ok()?;
        u32::try_from(tokens).ok()
    }

    /// Tokens of each of several generated texts; `None` where they cannot be counted. Where the tokenizer is
    /// a server's, no load may run meanwhile.
    pub fn count_outputs(&self, texts: &[&str]) -> Vec<Option<u32>> {
        let asks = self.counter.asks_a_server() && !texts.is_empty();
        let _spinner = asks.then(|| {
            let count = texts.len();
            Spinner::start(&format!(
                "the load is over; the server's /tokenize counts the output tokens of {count} answer(s)"
            ))
        });
        let mut counts = Vec::with_capacity(texts.len());
        for texts in texts.chunks(COUNTED_AT_A_TIME) {
            let ids = self.counter.token_ids_of_each(texts, SpecialTokens::None);
            let tokens = ids.into_iter().map(|ids| ids.ok()?.len().try_into().ok());
            counts.extend(tokens);
            if counts.iter().rev().take(texts.len()).all(Option::is_none) {
                // The tokenizer is gone: the others would wait for it in vain.
                break;
            }
        }
        counts.resize(texts.len(), None);
        counts
    }

    /// `2 endpoints`, and that they are simulated if they are.
    pub fn describe(&self) -> String {
        let count = self.endpoints.count().get();
        let plural = if count == 1 { "" } else { "s" };
        match self.endpoints.simulated() {
            Some(_) => format!("{count} simulated endpoint{plural}"),
            None => format!("{count} endpoint{plural}"),
        }
    }

    /// Begins to read the servers' `/metrics` at regular times; `begin` has just been read and is the first
    /// sample.
    pub fn sample(&self, begin: &[Scrape]) -> Sampler {
        let (runtime, scraper) = (self.runtime.handle(), Arc::clone(&self.scraper));
        Sampler::start(
            runtime,
            scraper,
            self.clock,
            begin,
            self.servers.is_embedded(),
        )
    }

    /// Every endpoint's own counters now; `None` for one that has no `/metrics`.
    ///
    /// Must not be called from within the runtime.
    pub fn scrape(&self) -> Vec<Scrape> {
        self.runtime.block_on(async {
            let each = (0..self.scraper.count()).map(async |endpoint| {
                let metrics = self.scraper.read(endpoint).await;
                let at_ns = self.clock.now_ns();
                metrics.map(|metrics| (at_ns, metrics))
            });
            futures_util::future::join_all(each).await
        })
    }
}

/// Returns the endpoints of each side; `endpoints` lists both sides, one after the other.
fn sides(ab: &[Deployment; 2], endpoints: &Endpoints) -> Result<[Side; 2], EndpointError> {
    let first = ab[0].endpoints().len();
    let side = |deployment: &Deployment, place: Range<usize>| {
        let list = endpoints.as_slice()[place.clone()].to_vec();
        Ok(Side {
            name: deployment.name.clone(),
            endpoints: Endpoints::new(list, endpoints.model().to_owned())?,
            place,
        })
    };
    Ok([
        side(&ab[0], 0..first)?,
        side(&ab[1], first..endpoints.count().get())?,
    ])
}

/// Generated texts that are counted before it is looked whether any could be.
const COUNTED_AT_A_TIME: usize = 64;

/// A request in flight is a connection; with the embedded engine both of its ends are here.
const FILES_PER_REQUEST: u64 = 2;

/// Finds the tokenizer of the servers' model.
fn tokenizer(
    config: &Settings,
    endpoints: &Endpoints,
    http: &reqwest::Client,
    runtime: &Runtime,
) -> Result<Loaded, TokenizeError> {
    let mut urls = endpoints.iter().map(|each| each.url.at("/tokenize"));
    // There is at least one endpoint.
    let server = urls.next().map(|first| {
        let server = ServerTokenizer::new(
            first,
            Some(endpoints.model().to_owned()),
            config.request_headers(),
            http.clone(),
            runtime.handle().clone(),
        );
        server.or_replicas(urls)
    });
    TokenizerLookup {
        tokenizer_path: config.tokenizer_path.as_deref(),
        model: Some(endpoints.model()),
        env: &|key| std::env::var(key).ok(),
        server,
    }
    .load()
}
