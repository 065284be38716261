//! The engine's fixed chat template.
//!
//! A tokenizer with Llama 3's header tokens gets Llama 3's layout:
//!
//! ```text
//! <|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n…<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n
//! ```
//!
//! Any other tokenizer gets plain text: `user: …\n` for each message, then `assistant:`.

use tokenizers::Tokenizer;

/// One message, its content as plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChatMessage {
    pub(super) role: String,
    pub(super) content: String,
}

/// Renders `messages` as one prompt; `reply` adds the start of the assistant's turn.
///
/// The text contains every special token: encode it without adding more.
pub(super) fn render(tokenizer: &Tokenizer, messages: &[ChatMessage], reply: bool) -> String {
    let headers = tokenizer.token_to_id("<|start_header_id|>").is_some();
    let mut prompt = String::new();
    if headers && tokenizer.token_to_id("<|begin_of_text|>").is_some() {
        prompt.push_str("<|begin_of_text|>");
    }
    let header = |role: &str| format!("<|start_header_id|>{role}<|end_header_id|>\n\n");
    for ChatMessage { role, content } in messages {
        if headers {
            prompt.push_str(&header(role));
            prompt.push_str(content.trim());
            prompt.push_str("<|eot_id|>");
        } else {
            prompt.push_str(&format!("{role}: {content}\n"));
        }
    }
    match (reply, headers) {
        (true, true) => prompt.push_str(&header("assistant")),
        (true, false) => prompt.push_str("assistant:"),
        (false, _) => {}
    }
    prompt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_tokens_cost_one_token_each() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/tokenizer/tokenizer.json"
        );
        let tokenizer = Tokenizer::from_file(path).expect("the shipped tokenizer");
        let message = ChatMessage {
            role: "user".into(),
            content: "Hi".into(),
        };
        let count = |reply| {
            let prompt = render(&tokenizer, std::slice::from_ref(&message), reply);
            let encoding = tokenizer.encode(prompt, false).expect("encodes");
            encoding.get_tokens().to_vec()
        };
        assert_eq!(count(false)[0], "<|begin_of_text|>");
        assert_eq!(count(false).last().map(String::as_str), Some("<|eot_id|>"));
        assert!(count(true).len() > count(false).len() + 2);
    }
}
