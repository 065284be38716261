//! Prompts of a request: chat messages, texts or token ids.

use serde::Deserialize;

use super::super::chat_template::{self, ChatMessage};
use super::super::replica::Shared;
use super::error::ApiError;

/// The `prompt` of a completion request.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Prompts {
    Text(String),
    Tokens(Vec<u32>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<u32>>),
}

/// A chat message as clients send it.
#[derive(Debug, Deserialize)]
pub(super) struct MessageParam {
    role: String,
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Debug, Deserialize)]
struct ContentPart {
    r#type: String,
    text: Option<String>,
}

impl MessageParam {
    /// Length of its text (bytes).
    pub(super) fn text_bytes(&self) -> usize {
        match &self.content {
            None => 0,
            Some(Content::Text(text)) => text.len(),
            Some(Content::Parts(parts)) => parts
                .iter()
                .map(|part| part.text.as_ref().map_or(0, String::len))
                .sum(),
        }
    }
}

impl Prompts {
    /// Length of all texts (bytes); 0 for token ids.
    pub(super) fn text_bytes(&self) -> usize {
        match self {
            Prompts::Text(text) => text.len(),
            Prompts::Texts(texts) => texts.iter().map(String::len).sum(),
            Prompts::Tokens(_) | Prompts::TokenLists(_) => 0,
        }
    }

    /// Each prompt as token ids.
    pub(super) fn tokenise(self, shared: &Shared) -> Result<Vec<Vec<u32>>, ApiError> {
        let prompts = match self {
            Prompts::Text(text) => vec![encode(shared, &text, true)?],
            Prompts::Tokens(tokens) if tokens.is_empty() => return Err(empty_prompt()),
            Prompts::Tokens(tokens) => vec![tokens],
            Prompts::Texts(texts) => {
                if texts.len() > 1 && texts.iter().any(String::is_empty) {
                    return Err(empty_decoder_prompt());
                }
                let encode = |text: &String| encode(shared, text, true);
                texts.iter().map(encode).collect::<Result<_, _>>()?
            }
            Prompts::TokenLists(lists) if lists.iter().any(Vec::is_empty) => {
                return Err(match lists.len() {
                    1 => empty_prompt(),
                    _ => empty_decoder_prompt(),
                });
            }
            Prompts::TokenLists(lists) => lists,
        };
        match prompts.is_empty() {
            true => Err(empty_prompt()),
            false => Ok(prompts),
        }
    }
}

/// A conversation as token ids, rendered by the chat template.
pub(super) fn tokenise_messages(
    messages: Vec<MessageParam>,
    shared: &Shared,
) -> Result<Vec<u32>, ApiError> {
    if messages.is_empty() {
        return Err(ApiError::bad_request(
            "Cannot apply chat template to an empty conversation. Provide at least one message.",
        ));
    }
    let messages = plain_messages(messages)?;
    let text = chat_template::render(&shared.tokenizer, &messages, true);
    encode(shared, &text, false)
}

/// Messages with their content as plain text.
pub(super) fn plain_messages(messages: Vec<MessageParam>) -> Result<Vec<ChatMessage>, ApiError> {
    let plain = |message: MessageParam| {
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

fn text_of(part: ContentPart) -> Result<String, ApiError> {
    match part {
        ContentPart {
            r#type,
            text: Some(text),
        } if r#type == "text" => Ok(text),
        ContentPart { r#type, .. } => Err(ApiError::bad_request(format!(
            "Content parts of type `{type}` cannot be served: the engine simulates a text model.",
        ))),
    }
}

fn encode(shared: &Shared, text: &str, special_tokens: bool) -> Result<Vec<u32>, ApiError> {
    shared
        .encode(text, special_tokens)
        .map_err(|error| ApiError::bad_request(format!("The prompt cannot be tokenized: {error}")))
}

fn empty_decoder_prompt() -> ApiError {
    ApiError::bad_request("The decoder prompt cannot be empty")
}

fn empty_prompt() -> ApiError {
    ApiError::bad_request("You must pass at least one prompt")
}
