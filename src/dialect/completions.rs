use serde_json::{Map, Value};

use super::definition::Dialect;

/// OpenAI's `/v1/completions`, for pretrained models.
#[derive(Debug)]
pub struct Completions;

impl Dialect for Completions {
    fn id(&self) -> &'static str {
        "completions"
    }

    fn path(&self) -> &'static str {
        "/completions"
    }

    fn has_chat_template(&self) -> bool {
        false
    }

    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &str) {
        body.insert("prompt".into(), prompt.into());
    }
}
