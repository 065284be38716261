//! Tokenizers of different kinds for the tests of this module.

use std::{collections::BTreeSet, sync::Arc};

use tokenizers::Tokenizer;

use super::{
    Questions,
    tokenizer::{TokenCounter, TokenizerSource},
};

/// Words for the tokenizers that are built in memory.
const WORDS: [&str; 24] = [
    "anchor", "basket", "candle", "dancer", "eleven", "forest", "garden", "harbour", "island",
    "jacket", "kettle", "ladder", "magnet", "needle", "orange", "pencil", "quartz", "ribbon",
    "saddle", "tunnel", "umbrella", "velvet", "window", "yellow",
];

fn from_json(name: &str, json: &serde_json::Value) -> TokenCounter {
    let tokenizer = Tokenizer::from_bytes(json.to_string()).unwrap();
    TokenCounter::local(tokenizer, TokenizerSource::File(name.into())).unwrap()
}

fn tokenizer_json(pre_tokenizer: serde_json::Value, model: serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": pre_tokenizer, "post_processor": null,
        "decoder": null, "model": model
    })
}

/// A SentencePiece-like tokenizer: a space is `▁` and belongs to the word after it, the first word
/// gets one too, there are no special tokens, and its stored truncation rule must be ignored.
pub(super) fn metaspace() -> TokenCounter {
    let mut pieces = vec![serde_json::json!(["<unk>", 0.0])];
    for c in ' '..='~' {
        pieces.push(serde_json::json!([c.to_string(), -12.0]));
    }
    pieces.push(serde_json::json!(["▁", -11.0]));
    for word in WORDS {
        pieces.push(serde_json::json!([format!("▁{word}"), -8.0]));
        pieces.push(serde_json::json!([word, -9.0]));
    }
    let questions = Questions::built_in().unwrap();
    let known: BTreeSet<&str> = questions
        .all()
        .iter()
        .flat_map(|question| question.text.split(|c: char| !c.is_ascii_alphabetic()))
        .filter(|word| !word.is_empty())
        .collect();
    for word in known {
        pieces.push(serde_json::json!([format!("▁{word}"), -7.0]));
    }
    let mut json = tokenizer_json(
        serde_json::json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": false}),
        serde_json::json!({"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": false}),
    );
    json["truncation"] = serde_json::json!({
        "direction": "Right", "max_length": 20, "strategy": "LongestFirst", "stride": 0
    });
    from_json("metaspace", &json)
}

/// A tokenizer of whole words that throws spaces away and knows 24 words.
pub(super) fn whole_words() -> TokenCounter {
    let mut vocabulary = serde_json::Map::new();
    vocabulary.insert("[UNK]".to_owned(), 0.into());
    for (id, word) in WORDS.iter().enumerate() {
        vocabulary.insert((*word).to_owned(), (id + 1).into());
    }
    from_json(
        "whole_words",
        &tokenizer_json(
            serde_json::json!({"type": "Whitespace"}),
            serde_json::json!({"type": "WordLevel", "unk_token": "[UNK]", "vocab": vocabulary}),
        ),
    )
}

/// A tokenizer that knows single letters only.
pub(super) fn single_letters() -> TokenCounter {
    let vocabulary: serde_json::Map<String, serde_json::Value> = ('a'..='z')
        .enumerate()
        .map(|(id, c)| (c.to_string(), id.into()))
        .collect();
    from_json(
        "single_letters",
        &tokenizer_json(
            serde_json::json!({"type": "Whitespace"}),
            serde_json::json!({"type": "BPE", "vocab": vocabulary, "merges": []}),
        ),
    )
}

/// The shipped tokenizer and the two that can make prompts.
pub(super) fn counters() -> Vec<Arc<TokenCounter>> {
    vec![
        Arc::new(TokenCounter::shipped().unwrap()),
        Arc::new(metaspace()),
        Arc::new(whole_words()),
    ]
}
