//! `servemark check`: asks every endpoint once whether a benchmark could run, and says what is missing.

use std::num::NonZeroU32;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use comfy_table::{Table, presets};
use tokio::runtime::Runtime;

use crate::client::{
    Client, Clock, Connections, FailureCause, PayloadTemplate, Prepared, http_client,
};
use crate::config::{Api, Config, EndpointUrl};
use crate::endpoint::{EndpointError, Http, Probe, probe, ready};
use crate::fixture::{FixtureError, embedded};
use crate::metrics::latency;
use crate::prompt::{
    Loaded, ServerTokenizer, SpecialTokens, TokenCounter, TokenizeError, TokenizerLookup,
    TokenizerSource,
};

/// Tokens asked for by the one request that is made.
const ANSWER_TOKENS: NonZeroU32 = NonZeroU32::new(8).unwrap();

/// An endpoint that does not answer within this time is not ready now.
const HEALTH_LIMIT: Duration = Duration::from_secs(5);

/// The text that tokenizers are compared on, and the question that is asked.
const SAMPLE: &str = "Why is the sky blue at noon, and red at sunset? Answer in 3 sentences.";

/// What was found of all endpoints.
#[derive(Debug)]
pub struct Report {
    findings: Vec<Findings>,
    warnings: Vec<String>,
}

/// What was found of one endpoint: each either what it is, or what is wrong.
#[derive(Debug)]
struct Findings {
    url: String,
    health: Result<String, String>,
    server: Result<String, String>,
    model: Result<String, String>,
    tokenizer: Result<String, String>,
    request: Result<String, String>,
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

    /// What a benchmark cannot do without; an unknown server or tokenizer only costs accuracy.
    fn is_ready(&self) -> bool {
        self.health.is_ok() && self.model.is_ok() && self.request.is_ok()
    }
}

impl Report {
    /// Whether a benchmark could run against every endpoint now.
    pub fn is_ready(&self) -> bool {
        self.findings.iter().all(Findings::is_ready)
    }
}

/// A table of what is ready, and below it what is not and why.
impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const COLUMNS: [&str; 5] = ["health", "server", "model", "tokenizer", "streamed request"];
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["endpoint"].iter().chain(&COLUMNS).chain(&["ready"]));
        for findings in &self.findings {
            let cells = findings.columns().map(|c| match c {
                Ok(text) => text.clone(),
                Err(_) => "✗".to_owned(),
            });
            let ready = if findings.is_ready() { "yes" } else { "NO" };
            let row = std::iter::once(findings.url.clone()).chain(cells);
            table.add_row(row.chain([ready.to_owned()]));
        }
        writeln!(f, "{table}")?;
        for findings in &self.findings {
            for (name, column) in COLUMNS.iter().zip(findings.columns()) {
                if let Err(reason) = column {
                    writeln!(f, "- {}: {name}: {reason}", findings.url)?;
                }
            }
        }
        self.warnings
            .iter()
            .try_for_each(|warning| writeln!(f, "- {warning}"))
    }
}

/// Everything that probing one endpoint needs.
struct Checker<'a> {
    config: &'a Config,
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
pub fn check(config: &Config) -> Result<Report, FixtureError> {
    let http = http_client(config)?;
    let runtime = Runtime::new()?;
    let urls = config.endpoints();
    let (engine, urls) = match urls.is_empty() {
        true => {
            let (engine, urls) = embedded(config.seed.unwrap_or_default())?;
            (Some(engine), urls)
        }
        false => (None, urls),
    };
    let checker = Checker {
        config,
        runtime: &runtime,
        http: &http,
        connections: Connections::new()?,
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
    let findings = urls.iter().map(|url| checker.endpoint(url)).collect();
    Ok(Report { findings, warnings })
}

impl Checker<'_> {
    fn endpoint(&self, url: &EndpointUrl) -> Findings {
        let urls = std::slice::from_ref(url);
        let health = self
            .runtime
            .block_on(ready::wait(&self.asking, urls, HEALTH_LIMIT, |_| {}));
        if let Err(error) = health {
            let reason = match &error {
                EndpointError::NotReady { endpoints, .. } => endpoints
                    .first()
                    .map_or(error.to_string(), |(_, failure)| failure.to_string()),
                _ => error.to_string(),
            };
            let unasked = || Err("not asked, as the server is not ready".to_owned());
            return Findings {
                url: url.to_string(),
                health: Err(reason),
                server: unasked(),
                model: unasked(),
                tokenizer: unasked(),
                request: unasked(),
            };
        }
        let probe = self.runtime.block_on(probe(&self.asking, url));
        let model = self.model(&probe);
        let asked = model.as_deref().unwrap_or_default();
        Findings {
            url: url.to_string(),
            health: Ok("ready".to_owned()),
            server: server(&probe),
            tokenizer: self.tokenizer(url, asked),
            request: self.request(url, asked),
            model: model.clone(),
        }
    }

    fn model(&self, probe: &Probe) -> Result<String, String> {
        let wanted = self.config.model_path.as_deref();
        crate::endpoint::model::choose(
            std::slice::from_ref(probe),
            wanted.filter(|_| !self.embedded),
        )
        .map_err(|error| error.to_string())
    }

    /// Whether the tokenizer found on this machine counts as the server does.
    fn tokenizer(&self, url: &EndpointUrl, model: &str) -> Result<String, String> {
        let server = ServerTokenizer::new(
            url.at("/tokenize"),
            Some(model.to_owned()),
            self.config.request_headers(),
            self.http.clone(),
            self.runtime.handle().clone(),
        );
        let count = |counter: TokenCounter| counter.count(SAMPLE, SpecialTokens::Added);
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

    /// One short request through chat completions, or completions for a model that does not chat.
    fn request(&self, url: &EndpointUrl, model: &str) -> Result<String, String> {
        match self.send(url, Api::ChatCompletions, model) {
            // vLLM answers 400 for a model without a chat template.
            Err((FailureCause::Http(400 | 404 | 405), chat)) => self
                .send(url, Api::Completions, model)
                .map_err(|(_, message)| format!("chat: {chat}; completions: {message}")),
            other => other.map_err(|(_, message)| message),
        }
    }

    fn send(
        &self,
        url: &EndpointUrl,
        api: Api,
        model: &str,
    ) -> Result<String, (FailureCause, String)> {
        let config = Config {
            max_new_tokens: ANSWER_TOKENS,
            stream: true,
            ..self.config.clone()
        };
        let template = PayloadTemplate::new(&config, api, model, false);
        let prepared = Prepared {
            url: url.api(api),
            body: template.body(SAMPLE),
            prompt_tokens: 0,
            keep_text: false,
            request_id: None,
        };
        let client = Client::new(self.connections.clone(), &config, Clock::start());
        let exchange = self
            .runtime
            .block_on(client.send(prepared, &AtomicU32::new(0)));
        let completion = exchange.result.map_err(|failure| {
            (
                failure.cause,
                format!("{}: {}", failure.cause, failure.message),
            )
        })?;
        let api = match api {
            Api::ChatCompletions => "chat",
            Api::Completions => "completions",
        };
        let ttft = latency::ttft_after(exchange.sent_ns, &completion)
            .map_or("no text".to_owned(), |ns| {
                format!("TTFT {:.0} ms", ns / 1e6)
            });
        Ok(match completion.usage_output {
            Some(tokens) => format!("{api}: {tokens} tokens, {ttft}, usage sent"),
            None => format!("{api}: {ttft}, NO usage: tokens will be counted by tokenizer"),
        })
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
