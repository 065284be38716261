//! Prompts made ahead of the load, so that no request waits for its prompt.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};

use crate::client::PayloadTemplate;
use crate::prompt::{PromptSource, RequestSpec};

/// A queue of serialised prompts, filled by its own thread.
pub(crate) struct PromptQueue {
    receiver: Mutex<mpsc::Receiver<QueuedPrompt>>,
}

/// The prompt of the next request.
#[derive(Debug)]
pub(super) struct QueuedPrompt {
    /// Its number in the series.
    pub index: u64,
    /// The prompt, or why it could not be made.
    pub prompt: Result<SerializedPrompt, String>,
}

#[derive(Debug)]
pub(super) struct SerializedPrompt {
    /// The request body.
    pub body: Bytes,
    /// Tokens of the prompt.
    pub tokens: u32,
    /// The output tokens that the body asks for; `None` for those of all requests.
    pub output_tokens: Option<NonZeroU32>,
    /// The prompt itself.
    pub text: String,
}

fn serialized(template: &PayloadTemplate, request: RequestSpec) -> SerializedPrompt {
    SerializedPrompt {
        body: template.body(&request.prompt, request.output_tokens),
        tokens: u32::try_from(request.prompt_tokens).unwrap_or(u32::MAX),
        output_tokens: template.output_tokens(request.output_tokens),
        text: request.prompt,
    }
}

impl PromptQueue {
    /// Starts making the prompts of `indices`, at most `depth` ahead of the load.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        source: Arc<dyn PromptSource>,
        template: PayloadTemplate,
        indices: impl Iterator<Item = u64> + Send + 'static,
        depth: usize,
    ) -> std::io::Result<PromptQueue> {
        let (sender, receiver) = mpsc::channel(depth.max(1));
        std::thread::Builder::new()
            .name("servemark-prompts".into())
            .spawn(move || {
                for index in indices {
                    let request = source.request(index).map_err(|error| error.to_string());
                    let prompt = request.map(|request| serialized(&template, request));
                    // The receiver is dropped when the load ends.
                    if sender
                        .blocking_send(QueuedPrompt { index, prompt })
                        .is_err()
                    {
                        return;
                    }
                }
            })?;
        Ok(PromptQueue {
            receiver: Mutex::new(receiver),
        })
    }

    /// The next prompt; `None` only if the thread died or `indices` ended.
    pub(super) async fn next(&self) -> Option<QueuedPrompt> {
        self.receiver.lock().await.recv().await
    }
}
