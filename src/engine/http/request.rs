//! Request bodies: their form, and what of them can be served.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::chat_template::{self, ChatMessage};
use super::super::output::OutputLimits;
use super::super::replica::Shared;
use super::super::server::ContextOverflow;
use super::super::sse::Api;
use super::error::ApiError;

/// vLLM's default of `max_tokens` for `/v1/completions`.
const COMPLETIONS_MAX_TOKENS: u32 = 16;

/// A body of `/v1/chat/completions` or `/v1/completions`; unknown fields are ignored, as vLLM does.
#[derive(Debug, Deserialize)]
pub(super) struct GenerationRequest {
    pub(super) model: Option<String>,
    messages: Option<Vec<Message>>,
    prompt: Option<Prompt>,
    #[serde(default)]
    pub(super) stream: Option<bool>,
    pub(super) stream_options: Option<StreamOptions>,
    max_tokens: Option<i64>,
    max_completion_tokens: Option<i64>,
    min_tokens: Option<i64>,
    ignore_eos: Option<bool>,
    stop: Option<Stop>,
    n: Option<i64>,
    pub(super) seed: Option<i64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    logprobs: Option<Value>,
    top_logprobs: Option<Value>,
    prompt_logprobs: Option<Value>,
    echo: Option<bool>,
}

/// What a stream carries besides text.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct StreamOptions {
    include_usage: Option<bool>,
    continuous_usage_stats: Option<bool>,
}

impl StreamOptions {
    /// A last event with the usage. On by default where options are given at all.
    pub(super) fn include_usage(&self) -> bool {
        self.include_usage.unwrap_or(true)
    }

    /// Usage so far in every event.
    pub(super) fn continuous_usage(&self) -> bool {
        self.include_usage() && self.continuous_usage_stats.unwrap_or(false)
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<u32>>),
}

/// A chat message as clients send it.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    role: String,
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    r#type: String,
    text: Option<String>,
}

/// Reads a JSON body.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::invalid_body("body", error))
}

/// Refuses a model that is not served; none named is the one served.
pub(super) fn check_model(shared: &Shared, model: Option<&str>) -> Result<(), ApiError> {
    match model {
        Some(name) if name != shared.model_name => {
            Err(ApiError::unknown_model(name, &shared.model_name))
        }
        _ => Ok(()),
    }
}

/// Messages with their content as plain text.
pub(super) fn plain_messages(messages: Vec<Message>) -> Result<Vec<ChatMessage>, ApiError> {
    let plain = |message: Message| {
        let content = match message.content {
            None => String::new(),
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => parts
                .into_iter()
                .map(text_of)
                .collect::<Result<Vec<_>, _>>()?
                .join("\n"),
        };
        Ok(ChatMessage {
            role: message.role,
            content,
        })
    };
    messages.into_iter().map(plain).collect()
}

fn text_of(part: Part) -> Result<String, ApiError> {
    match part {
        Part {
            r#type,
            text: Some(text),
        } if r#type == "text" => Ok(text),
        Part { r#type, .. } => Err(ApiError::bad_request(format!(
            "Content parts of type `{type}` cannot be served: the engine simulates a text model.",
        ))),
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
        if let Some(n) = self.n.filter(|n| *n != 1) {
            let message = format!("n must be 1, got {n}: the simulated engine gives one choice.");
            return Err(ApiError::bad_value("n", n, message));
        }
        let on =
            |value: &Option<Value>| !matches!(value, None | Some(Value::Null | Value::Bool(false)));
        if on(&self.logprobs) || on(&self.top_logprobs) || on(&self.prompt_logprobs) {
            return Err(ApiError::bad_request(
                "The simulated engine has no logprobs.",
            ));
        }
        if self.echo == Some(true) {
            return Err(ApiError::bad_request(
                "The simulated engine does not echo the prompt.",
            ));
        }
        Ok(())
    }

    /// Takes the prompt out as token ids. Long texts take milliseconds: call it where that is no harm.
    pub(super) fn take_prompt(&mut self, api: Api, shared: &Shared) -> Result<Vec<u32>, ApiError> {
        let encode = |text: &str, special| {
            shared.encode(text, special).map_err(|error| {
                ApiError::bad_request(format!("The prompt cannot be tokenized: {error}"))
            })
        };
        if api == Api::Chat {
            let messages = self
                .messages
                .take()
                .ok_or_else(|| ApiError::missing_field("body.messages"))?;
            if messages.is_empty() {
                return Err(ApiError::bad_request(
                    "Cannot apply chat template to an empty conversation. Provide at least one message.",
                ));
            }
            let messages = plain_messages(messages)?;
            return encode(
                &chat_template::render(&shared.tokenizer, &messages, true),
                false,
            );
        }
        let several = |count: usize| {
            ApiError::bad_request(format!(
                "One prompt per request is simulated, got {count}; send them as requests of their own."
            ))
        };
        match self.prompt.take().ok_or_else(missing_prompt)? {
            Prompt::Text(text) => encode(&text, true),
            Prompt::Tokens(tokens) if tokens.is_empty() => Err(empty_prompt()),
            Prompt::Tokens(tokens) => Ok(tokens),
            Prompt::Texts(mut texts) => match texts.pop() {
                Some(text) if texts.is_empty() => encode(&text, true),
                _ => Err(several(texts.len() + 1)),
            },
            Prompt::TokenLists(mut lists) => match lists.pop() {
                Some(tokens) if lists.is_empty() && !tokens.is_empty() => Ok(tokens),
                Some(_) if lists.is_empty() => Err(empty_prompt()),
                _ => Err(several(lists.len() + 1)),
            },
        }
    }

    /// How much text prompt or messages hold, bytes; 0 for token ids.
    pub(super) fn text_bytes(&self) -> usize {
        let message = |message: &Message| match &message.content {
            None => 0,
            Some(Content::Text(text)) => text.len(),
            Some(Content::Parts(parts)) => parts
                .iter()
                .map(|part| part.text.as_ref().map_or(0, String::len))
                .sum(),
        };
        let messages: usize = self.messages.iter().flatten().map(message).sum();
        let prompt = match &self.prompt {
            Some(Prompt::Text(text)) => text.len(),
            Some(Prompt::Texts(texts)) => texts.iter().map(String::len).sum(),
            _ => 0,
        };
        messages + prompt
    }

    /// The output's limits, given the prompt's length.
    pub(super) fn limits(
        &mut self,
        api: Api,
        shared: &Shared,
        prompt_tokens: usize,
    ) -> Result<OutputLimits, ApiError> {
        let context = shared.preset.scheduler.max_model_len;
        let (name, asked) = match (api, self.max_completion_tokens) {
            (Api::Chat, Some(tokens)) => ("max_completion_tokens", Some(tokens)),
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
            Api::Chat => room as i64,
            Api::Completions => i64::from(COMPLETIONS_MAX_TOKENS),
        };
        let wanted = asked.unwrap_or(default);
        // With a prompt that fills the context nothing is left to ask for.
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
        let min_tokens = self.min_tokens.unwrap_or(0);
        let min_tokens = match u32::try_from(min_tokens) {
            Ok(tokens) if tokens <= max_tokens => tokens,
            Ok(_) => {
                let message = format!(
                    "min_tokens must be less than or equal to max_tokens={max_tokens}, got {min_tokens}."
                );
                return Err(ApiError::bad_request(message));
            }
            Err(_) => {
                let message =
                    format!("min_tokens must be greater than or equal to 0, got {min_tokens}.");
                return Err(ApiError::bad_request(message));
            }
        };
        let stop = match self.stop.take() {
            None => Vec::new(),
            Some(Stop::One(stop)) => vec![stop],
            Some(Stop::Many(stops)) => stops,
        };
        let ignore_eos = self.ignore_eos.unwrap_or(false);
        Ok(OutputLimits {
            max_tokens,
            min_tokens,
            ignore_eos,
            stop,
        })
    }
}

fn missing_prompt() -> ApiError {
    let message = "Either prompt or prompt_embeds must be provided and non-empty.";
    ApiError::bad_parameter("prompt", message)
}

fn empty_prompt() -> ApiError {
    ApiError::bad_request("You must pass at least one prompt")
}
