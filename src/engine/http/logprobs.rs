//! Log probabilities in vLLM's two formats.
//!
//! There is no model, so the values are drawn by seed, like the tokens: the drawn token has a
//! random probability, and each alternative half of the rest.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::super::sse::GenerationApi;
use super::super::text::TokenStream;

/// The `logprobs` object of a choice's `tokens`, with `top` alternatives for each.
///
/// `text_offset` is the number of characters of the choice before them.
pub(super) fn json(
    api: GenerationApi,
    stream: &TokenStream,
    tokens: Range<u32>,
    top: usize,
    text_offset: usize,
) -> Value {
    match api {
        GenerationApi::Chat => {
            let content: Vec<Value> = tokens.map(|index| chat_token(stream, index, top)).collect();
            json!({ "content": content })
        }
        GenerationApi::Completions => completion_tokens(stream, tokens, top, text_offset),
    }
}

fn chat_token(stream: &TokenStream, index: u32, top: usize) -> Value {
    let entry = |(piece, logprob): (&str, f64)| json!({"token": piece, "logprob": logprob, "bytes": piece.as_bytes()});
    // The list starts with the token itself, like vLLM's for a sampled token.
    let likeliest: Vec<Value> = stream.candidates(index).take(top).map(entry).collect();
    let mut token = stream.candidates(index).next().map_or(Value::Null, entry);
    token["top_logprobs"] = likeliest.into();
    token
}

fn completion_tokens(
    stream: &TokenStream,
    tokens: Range<u32>,
    top: usize,
    text_offset: usize,
) -> Value {
    let (mut offsets, mut logprobs) = (Vec::new(), Vec::new());
    let (mut pieces, mut likeliest) = (Vec::new(), Vec::new());
    let mut offset = text_offset;
    for index in tokens {
        let candidates: Vec<_> = stream.candidates(index).take(top + 1).collect();
        let (piece, logprob) = candidates[0];
        offsets.push(offset);
        offset += piece.chars().count();
        logprobs.push(logprob);
        pieces.push(piece);
        let by_piece: Map<String, Value> = candidates
            .into_iter()
            .map(|(piece, logprob)| (piece.to_owned(), logprob.into()))
            .collect();
        likeliest.push(by_piece);
    }
    json!({
        "text_offset": offsets,
        "token_logprobs": logprobs,
        "tokens": pieces,
        "top_logprobs": likeliest,
    })
}
