//! `servemark check`: asks every endpoint once whether a benchmark could run, and says what is missing.

use std::time::Duration;

use tokio::runtime::Runtime;

use crate::client::{Connections, ExpectedAnswer, FailureCause, HttpClientError, http_client};
use crate::config::{EndpointUrl, Settings};
use crate::dialect::{ChatCompletions, Completions, Dialect};
use crate::embedded::Engines;
use crate::endpoint::{Http, Probe, QUESTION, TrialRequest, probe, ready};
use crate::fixture::FixtureError;
use crate::metrics::{Contradiction, contradictions, latency};
use crate::prompt::{
    Loaded, PROBE_LIMIT, ServerTokenizer, SpecialTokens, TokenCounter, TokenizeError,
    TokenizerLookup, TokenizerSource,
};
use crate::redact;
use crate::report::{BAD, Cell, GOOD, grid};
use crate::tls::{INSECURE, Tls};

/// A server that does not say within this time that it is ready does not say it now.
const HEALTH_LIMIT: Duration = Duration::from_secs(5);

/// The findings on all endpoints.
#[derive(Debug)]
pub struct Report {
    findings: Vec<Findings>,
    warnings: Vec<String>,
}

/// The findings on an endpoint: each is a value or an error.
#[derive(Debug)]
struct Findings {
    url: String,
    health: Result<String, String>,
    server: Result<String, String>,
    model: Result<String, String>,
    tokenizer: Result<String, String>,
    request: Result<String, String>,
    /// Contradictions in the request's answer.
    contradictions: Vec<Contradiction>,
}

impl Findings {
    fn columns(&self) -> [&Result<String, String>; 5] {
        [
            &self.health,
            &self.server,
            &self.model,
            &self.tokenizer,
            &self.request,
        ]
    }

    /// A real request decides: a benchmark can do without all else, at the cost of what it tells.
    fn is_ready(&self) -> bool {
        self.request.is_ok()
    }
}

impl Report {
    /// Whether a benchmark could run against every endpoint now.
    pub fn is_ready(&self) -> bool {
        self.findings.iter().all(Findings::is_ready)
    }
}

/// A table of what is ready, with styles, and below it what is not and why.
impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const COLUMNS: [&str; 5] = ["health", "server", "model", "tokenizer", "streamed request"];
        let rows = self.findings.iter().map(|findings| {
            let cells = findings.columns().map(|c| match c {
                Ok(text) => Cell::from(text),
                Err(_) => Cell::new(BAD, "✗"),
            });
            let ready = match (findings.is_ready(), findings.contradictions.is_empty()) {
                (true, true) => Cell::new(GOOD, "yes"),
                (true, false) => Cell::from("yes, but see below"),
                (false, _) => Cell::new(BAD, "NO"),
            };
            let row = std::iter::once(Cell::from(&findings.url)).chain(cells);
            row.chain([ready])
        });
        let head = ["endpoint"].iter().chain(&COLUMNS).chain(&["ready"]);
        let table = grid(head.copied(), rows, COLUMNS.len() + 2);
        writeln!(f, "{table}")?;
        for findings in &self.findings {
            for (name, column) in COLUMNS.iter().zip(findings.columns()) {
                if let Err(reason) = column {
                    writeln!(f, "- {}: {name}: {reason}", findings.url)?;
                }
            }
            for contradiction in &findings.contradictions {
                let detail = &contradiction.detail;
                writeln!(f, "- {}: streamed request: {detail}", findings.url)?;
            }
        }
        self.warnings
            .iter()
            .try_for_each(|warning| writeln!(f, "- {warning}"))
    }
}

/// The result of a request, and the contradictions in its answer.
type Answered = (String, Vec<Contradiction>);

/// Everything that probing one endpoint needs.
struct Checker<'a> {
    config: &'a Settings,
    runtime: &'a Runtime,
    http: &'a reqwest::Client,
    connections: Connections,
    asking: Http,
    /// Looks for the model's tokenizer on this machine, given its name.
    embedded: bool,
}

/// Probes every configured endpoint, or the embedded engine if there is none.
///
/// Must not be called from within a runtime.
///
/// # Errors
/// When the check itself cannot be made; what is wrong with an endpoint is in the report.
pub fn check(config: &Settings) -> Result<Report, FixtureError> {
    let tls = Tls::new(config).map_err(HttpClientError::from)?;
    let http = http_client(config, &tls)?;
    let runtime = Runtime::new()?;
    let urls = config.endpoints();
    let (engine, urls) = match urls.is_empty() {
        true => {
            let engines = Engines::boot(config.seed.unwrap_or_default())?;
            let urls = engines.urls()?;
            (Some(engines), urls)
        }
        false => (None, urls),
    };
    let checker = Checker {
        config,
        runtime: &runtime,
        http: &http,
        connections: Connections::over(&tls),
        asking: Http::new(http.clone(), config.request_headers()),
        embedded: engine.is_some(),
    };
    let mut warnings = Vec::new();
    if engine.is_some() {
        warnings.push(
            "no endpoint is configured: this is the embedded simulated engine; MODEL_ENDPOINTS names your servers"
                .to_owned(),
        );
    }
    if config.insecure {
        warnings.push(format!("INSECURE: {INSECURE}"));
    }
    let findings = urls.iter().map(|url| checker.endpoint(url)).collect();
    Ok(Report { findings, warnings })
}

impl Checker<'_> {
    fn endpoint(&self, url: &EndpointUrl) -> Findings {
        let health = self
            .runtime
            .block_on(ready::health(&self.asking, url, HEALTH_LIMIT));
        if let Err(failure) = &health
            && failure.is_unreachable()
        {
            let unasked = || Err("not asked, as the server cannot be reached".to_owned());
            return Findings {
                url: url.to_string(),
                health: Err(failure.to_string()),
                server: unasked(),
                model: unasked(),
                tokenizer: unasked(),
                request: unasked(),
                contradictions: Vec::new(),
            };
        }
        let probe = self.runtime.block_on(probe(&self.asking, url));
        let wanted = self.config.model_path.as_deref();
        let model = crate::endpoint::model::choose(
            std::slice::from_ref(&probe),
            wanted.filter(|_| !self.embedded),
        );
        let request = match &model {
            Ok(model) => self.request(url, model),
            Err(_) => Err("not sent, as there is no model to ask for".to_owned()),
        };
        let answered = request.is_ok();
        let (request, contradictions) = match request {
            Ok((shown, contradictions)) => (Ok(shown), contradictions),
            Err(reason) => (Err(reason), Vec::new()),
        };
        Findings {
            url: url.to_string(),
            health: match health {
                Ok(()) => Ok("ready".to_owned()),
                Err(failure) if answered => Err(format!(
                    "{}; the streamed request was answered all the same",
                    failure.what
                )),
                Err(failure) => Err(failure.to_string()),
            },
            server: server(&probe),
            tokenizer: self.tokenizer(url, model.as_deref().unwrap_or_default()),
            model: match model {
                Ok(model) => named(model, &probe, answered),
                Err(error) => Err(error.to_string()),
            },
            request,
            contradictions,
        }
    }

    /// Whether the tokenizer found on this machine counts as the server does.
    fn tokenizer(&self, url: &EndpointUrl, model: &str) -> Result<String, String> {
        let server = ServerTokenizer::new(
            url.at("/tokenize"),
            Some(model.to_owned()),
            self.config.request_headers(),
            self.http.clone(),
            self.runtime.handle().clone(),
        )
        .within(PROBE_LIMIT);
        let count = |counter: TokenCounter| counter.count(QUESTION, SpecialTokens::Added);
        let by_server = TokenCounter::server(server).and_then(count);
        let local = self.local_tokenizer(model).map_err(|e| e.to_string())?;
        let known = self.embedded || matches!(local.source(), TokenizerSource::File(_));
        let source = local.source().to_string();
        let by_file = count(local).map_err(|e| e.to_string())?;
        match (known, by_server) {
            (true, Ok(server)) if server == by_file => {
                Ok(format!("agrees with the server ({source})"))
            }
            (true, Ok(server)) => Err(format!(
                "{source} counts {by_file} tokens where the server counts {server}: set TOKENIZER_PATH to the served model's own"
            )),
            (true, Err(_)) => Ok(format!("{source}; the server has no /tokenize to compare")),
            (false, Ok(_)) => Ok("the server's /tokenize".to_owned()),
            (false, Err(error)) => Err(error.to_string()),
        }
    }

    fn local_tokenizer(&self, model: &str) -> Result<TokenCounter, TokenizeError> {
        if self.embedded {
            return TokenCounter::shipped();
        }
        let lookup = TokenizerLookup {
            tokenizer_path: self.config.tokenizer_path.as_deref(),
            model: Some(model),
            env: &|key| std::env::var(key).ok(),
            server: None,
        };
        lookup.load().map(|Loaded { counter, .. }| counter)
    }

    /// Sends a short request through chat completions, or completions for a model that does not chat.
    fn request(&self, url: &EndpointUrl, model: &str) -> Result<Answered, String> {
        match self.send(url, &ChatCompletions, model) {
            // vLLM answers 400 for a model without a chat template.
            Err((FailureCause::Http(400 | 404 | 405), chat)) => self
                .send(url, &Completions, model)
                .map_err(|(_, message)| format!("chat: {chat}; completions: {message}")),
            other => other.map_err(|(_, message)| message),
        }
    }

    fn send(
        &self,
        url: &EndpointUrl,
        dialect: &'static dyn Dialect,
        model: &str,
    ) -> Result<Answered, (FailureCause, String)> {
        let config = Settings {
            stream: true,
            ..self.config.clone()
        };
        let trial = TrialRequest::new(self.connections.clone(), &config, dialect);
        let asked = trial.exchange(url, model, config.request_timeout);
        let exchange = self.runtime.block_on(asked);
        let completion = exchange.result.map_err(|failure| {
            (
                failure.cause,
                format!("{}: {}", failure.cause, failure.message),
            )
        })?;
        let api = dialect.id();
        let ttft = latency::ttft_after(exchange.sent_ns, &completion)
            .map_or("no text".to_owned(), |ns| {
                format!("TTFT {:.0} ms", ns / 1e6)
            });
        let shown = match completion.usage_output {
            Some(tokens) => format!("{api}: {tokens} tokens, {ttft}, usage sent"),
            None => format!("{api}: {ttft}, NO usage: tokens will be counted by tokenizer"),
        };
        let expected = ExpectedAnswer {
            streamed: true,
            ..ExpectedAnswer::default()
        };
        let contradictions = contradictions(std::iter::once(completion), &expected);
        Ok((shown, contradictions))
    }
}

/// The model that was asked for, and whether the server knows it.
fn named(model: String, probe: &Probe, answered: bool) -> Result<String, String> {
    let listed = probe.not_listed(&model);
    let model = redact::line(&model, redact::MOST_OF_NAME);
    match (listed, answered) {
        (None, _) => Ok(model),
        (Some(why), true) => Ok(format!("{model} (answered; /v1/models: {why})")),
        (Some(why), false) => Err(format!(
            "{model:?} may not be served (/v1/models: {why}): set MODEL_PATH to a model that is"
        )),
    }
}

fn server(probe: &Probe) -> Result<String, String> {
    let identity = &probe.identity;
    let missing = || {
        let of_server = identity.missing.iter().find(|m| m.what == "server");
        of_server.map_or("unknown".to_owned(), |m| m.reason.clone())
    };
    let server = identity.server.clone().ok_or_else(missing)?;
    Ok(match &identity.simulated {
        Some(preset) => format!("simulated {server} ({preset})"),
        None => server,
    })
}
