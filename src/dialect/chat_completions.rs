use serde_json::{Map, Value, json};

use super::definition::Dialect;

/// OpenAI's `/v1/chat/completions`, for chat models.
#[derive(Debug)]
pub struct ChatCompletions;

impl Dialect for ChatCompletions {
    fn id(&self) -> &'static str {
        "chat_completions"
    }

    fn path(&self) -> &'static str {
        "/chat/completions"
    }

    fn has_chat_template(&self) -> bool {
        true
    }

    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &str) {
        let messages = json!([{"role": "user", "content": prompt}]);
        body.insert("messages".into(), messages);
    }
}
