//! Request bodies: their fields and valid values.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::options::ContextOverflow;
use super::super::output::OutputLimits;
use super::super::replica::{Shared, TokenizedPrompt};
use super::super::sse::GenerationApi;
use super::error::ApiError;
use super::prompts::{self, MessageParam, Prompts};

/// Most choices for one prompt (vLLM's `VLLM_MAX_N_SEQUENCES`).
const MAX_CHOICES: i64 = 16_384;

/// Most log probabilities for a token (vLLM's `--max-logprobs`).
const MAX_LOGPROBS: i64 = 20;

/// vLLM's default of `max_tokens` for `/v1/completions`.
const COMPLETIONS_MAX_TOKENS: u32 = 16;

/// A body of `/v1/chat/completions` or `/v1/completions`; unknown fields are ignored, as vLLM does.
#[derive(Debug, Deserialize)]
pub(super) struct GenerationRequest {
    pub(super) model: Option<String>,
    messages: Option<Vec<MessageParam>>,
    prompt: Option<Prompts>,
    #[serde(default)]
    pub(super) stream: Option<bool>,
    pub(super) stream_options: Option<StreamOptions>,
    max_tokens: Option<i64>,
    max_completion_tokens: Option<i64>,
    min_tokens: Option<i64>,
    ignore_eos: Option<bool>,
    stop: Option<StopStrings>,
    n: Option<i64>,
    pub(super) seed: Option<i64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    logprobs: Option<Logprobs>,
    top_logprobs: Option<i64>,
    prompt_logprobs: Option<Value>,
    echo: Option<bool>,
}

/// `logprobs` is a switch in chat requests and a count in completion requests.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Logprobs {
    Switch(bool),
    Count(i64),
}

/// The content of a stream in addition to text.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct StreamOptions {
    include_usage: Option<bool>,
    continuous_usage_stats: Option<bool>,
}

impl StreamOptions {
    /// The options of a request that gives none.
    pub(super) const NONE: StreamOptions = StreamOptions {
        include_usage: Some(false),
        continuous_usage_stats: None,
    };

    /// Whether a last event has the usage; the default is true if any options are given.
    pub(super) fn include_usage(&self) -> bool {
        self.include_usage.unwrap_or(true)
    }

    /// Whether every event has the usage so far.
    pub(super) fn continuous_usage(&self) -> bool {
        self.include_usage() && self.continuous_usage_stats.unwrap_or(false)
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum StopStrings {
    One(String),
    Many(Vec<String>),
}

/// Parses a JSON body.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::invalid_body("body", error))
}

/// Refuses a model that is not served. Without a name, the served model is used.
pub(super) fn check_model(shared: &Shared, model: Option<&str>) -> Result<(), ApiError> {
    match model {
        Some(name) if name != shared.model_name => {
            Err(ApiError::unknown_model(name, &shared.model_name))
        }
        _ => Ok(()),
    }
}

impl GenerationRequest {
    /// Refuses values outside vLLM's ranges, and features that are not simulated.
    pub(super) fn check(&self, shared: &Shared) -> Result<(), ApiError> {
        check_model(shared, self.model.as_deref())?;
        if let Some(value) = self
            .temperature
            .filter(|value| value.is_nan() || *value < 0.0)
        {
            let message = format!("temperature must be non-negative, got {value:?}.");
            return Err(ApiError::bad_value(
                "temperature",
                format!("{value:?}"),
                message,
            ));
        }
        if let Some(value) = self.top_p.filter(|value| !(*value > 0.0 && *value <= 1.0)) {
            let message = format!("top_p must be in (0, 1], got {value:?}.");
            return Err(ApiError::bad_value("top_p", format!("{value:?}"), message));
        }
        if matches!(self.prompt_logprobs, Some(ref value) if !value.is_null()) {
            return Err(ApiError::bad_request(
                "The simulated engine has no prompt logprobs.",
            ));
        }
        if self.echo == Some(true) {
            return Err(ApiError::bad_request(
                "The simulated engine does not echo the prompt.",
            ));
        }
        Ok(())
    }

    /// Number of choices for each prompt.
    pub(super) fn choices(&self) -> Result<usize, ApiError> {
        let n = self.n.unwrap_or(1);
        let problem = if n < 1 {
            format!("n must be at least 1, got {n}.")
        } else if n > MAX_CHOICES {
            format!(
                "n must be at most {MAX_CHOICES}, got {n}. To increase this limit, set the VLLM_MAX_N_SEQUENCES environment variable."
            )
        } else if n > 1 && self.temperature == Some(0.0) {
            format!("n must be 1 when using greedy sampling, got {n}.")
        } else {
            return Ok(n as usize);
        };
        Err(ApiError::bad_request(problem))
    }

    /// Number of likeliest tokens in the log probabilities of each token; `None` if they are not
    /// requested.
    pub(super) fn logprobs(
        &self,
        api: GenerationApi,
        shared: &Shared,
    ) -> Result<Option<usize>, ApiError> {
        let on = !matches!(self.logprobs, None | Some(Logprobs::Switch(false)));
        let (parameter, count) = match (api, self.logprobs) {
            (GenerationApi::Chat, _) if !on && self.top_logprobs.is_some_and(|top| top != 0) => {
                return Err(ApiError::bad_parameter(
                    "top_logprobs",
                    "when using `top_logprobs`, `logprobs` must be set to true.",
                ));
            }
            (_, _) if !on => return Ok(None),
            (GenerationApi::Completions, Some(Logprobs::Count(count))) => ("logprobs", count),
            (GenerationApi::Completions, _) => ("logprobs", 1),
            (GenerationApi::Chat, _) => ("top_logprobs", self.top_logprobs.unwrap_or(0)),
        };
        let count = match count {
            -1 => shared.vocabulary.len() as i64,
            count => count,
        };
        if count < 0 {
            let message = format!("`{parameter}` must be a positive value or -1.");
            return Err(ApiError::bad_value(parameter, count, message));
        }
        if count > MAX_LOGPROBS {
            let message = format!(
                "Requested sample logprobs of {count}, which is greater than max allowed: {MAX_LOGPROBS}"
            );
            return Err(ApiError::bad_value("logprobs", count, message));
        }
        Ok(Some(count as usize))
    }

    /// Takes the prompts, each as token ids with the limits of its output. Long texts take
    /// milliseconds, so do not call it on an HTTP thread.
    pub(super) fn take_prompts(
        &mut self,
        api: GenerationApi,
        shared: &Shared,
    ) -> Result<Vec<TokenizedPrompt>, ApiError> {
        let stop = match self.stop.take() {
            None => Vec::new(),
            Some(StopStrings::One(stop)) => vec![stop],
            Some(StopStrings::Many(stops)) => stops,
        };
        let prompts = match api {
            GenerationApi::Chat => {
                let messages = self.messages.take();
                let messages = messages.ok_or_else(|| ApiError::missing_field("body.messages"))?;
                vec![prompts::tokenise_messages(messages, shared)?]
            }
            GenerationApi::Completions => {
                let prompt = self.prompt.take().ok_or_else(missing_prompt)?;
                prompt.tokenise(shared)?
            }
        };
        let prompt = |tokens: Vec<u32>| {
            let mut limits = self.limits(api, shared, tokens.len())?;
            limits.stop.clone_from(&stop);
            Ok(TokenizedPrompt {
                tokens: tokens.into(),
                limits,
            })
        };
        // Limits the sequences of a request, which are the product of both.
        let choices = prompts.len().saturating_mul(self.choices()?);
        if choices > MAX_CHOICES as usize {
            return Err(ApiError::bad_request(format!(
                "a request can have at most {MAX_CHOICES} choices, but its prompts and n give {choices}."
            )));
        }
        prompts.into_iter().map(prompt).collect()
    }

    /// Length of the text of prompt or messages (bytes); 0 for token ids.
    pub(super) fn text_bytes(&self) -> usize {
        let messages = self.messages.iter().flatten();
        let messages: usize = messages.map(MessageParam::text_bytes).sum();
        messages + self.prompt.as_ref().map_or(0, Prompts::text_bytes)
    }

    /// The output's limits, given the prompt's length, without its stop strings.
    fn limits(
        &self,
        api: GenerationApi,
        shared: &Shared,
        prompt_tokens: usize,
    ) -> Result<OutputLimits, ApiError> {
        let context = shared.preset.scheduler.max_model_len;
        let (name, asked) = match (api, self.max_completion_tokens) {
            (GenerationApi::Chat, Some(tokens)) => ("max_completion_tokens", Some(tokens)),
            _ => ("max_tokens", self.max_tokens),
        };
        if let Some(tokens) = asked.filter(|tokens| *tokens > context as i64) {
            let message = format!(
                "{name}={tokens} cannot be greater than max_model_len={context}. Please request fewer output tokens."
            );
            return Err(ApiError::bad_value(name, tokens, message));
        }
        let Some(room) = context.checked_sub(prompt_tokens) else {
            let message = format!(
                "This model's maximum context length is {context} tokens. However, your prompt contains {prompt_tokens} input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt."
            );
            return Err(ApiError::bad_value("input_tokens", prompt_tokens, message));
        };
        let default = match api {
            GenerationApi::Chat => room as i64,
            GenerationApi::Completions => i64::from(COMPLETIONS_MAX_TOKENS),
        };
        let wanted = asked.unwrap_or(default);
        // A prompt that fills the context leaves no room for output.
        let possible = wanted.min(room as i64);
        if possible < 1 {
            let message = format!("max_tokens must be at least 1, got {possible}.");
            return Err(ApiError::bad_value("max_tokens", possible, message));
        }
        let exceeds = asked.is_some() && wanted > possible;
        if exceeds && shared.context_overflow == ContextOverflow::Reject {
            let message = format!(
                "This model's maximum context length is {context} tokens. However, you requested {wanted} output tokens and your prompt contains {prompt_tokens} input tokens, for a total of {} tokens. Please reduce the length of the input prompt or the number of requested output tokens.",
                wanted.saturating_add(prompt_tokens as i64)
            );
            return Err(ApiError::bad_value("input_tokens", prompt_tokens, message));
        }
        let max_tokens = u32::try_from(possible).unwrap_or(u32::MAX);
        Ok(OutputLimits {
            max_tokens,
            min_tokens: self.min_tokens(max_tokens)?,
            ignore_eos: self.ignore_eos.unwrap_or(false),
            stop: Vec::new(),
        })
    }

    fn min_tokens(&self, max_tokens: u32) -> Result<u32, ApiError> {
        let asked = self.min_tokens.unwrap_or(0);
        let problem = match u32::try_from(asked) {
            Ok(tokens) if tokens <= max_tokens => return Ok(tokens),
            Ok(_) => format!("less than or equal to max_tokens={max_tokens}"),
            Err(_) => "greater than or equal to 0".to_owned(),
        };
        let message = format!("min_tokens must be {problem}, got {asked}.");
        Err(ApiError::bad_request(message))
    }
}

fn missing_prompt() -> ApiError {
    let message = "Either prompt or prompt_embeds must be provided and non-empty.";
    ApiError::bad_parameter("prompt", message)
}
