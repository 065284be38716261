//! Prompts made ahead of the load, so that no request waits for its own to be made.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};

use crate::client::PayloadTemplate;
use crate::prompt::PromptSource;

/// A queue of prepared requests, filled by a thread of its own.
pub struct Feed {
    queue: Mutex<mpsc::Receiver<Item>>,
}

/// The next request of a run.
#[derive(Debug)]
pub struct Item {
    /// Its position in the run.
    pub index: u64,
    /// Its prompt, or why there is none.
    pub ready: Result<Ready, String>,
}

/// A prompt, serialised.
#[derive(Debug)]
pub struct Ready {
    /// The request body.
    pub body: Bytes,
    /// Tokens of the prompt.
    pub tokens: u32,
    /// The prompt itself.
    pub text: String,
}

impl Feed {
    /// Starts making the prompts of `indices`, up to `depth` ahead of the load.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(
        source: Arc<PromptSource>,
        template: PayloadTemplate,
        indices: impl Iterator<Item = u64> + Send + 'static,
        depth: usize,
    ) -> std::io::Result<Feed> {
        let (sender, receiver) = mpsc::channel(depth.max(1));
        std::thread::Builder::new()
            .name("servemark-prompts".into())
            .spawn(move || {
                for index in indices {
                    let ready = match source.prompt(index) {
                        Ok(prompt) => Ok(Ready {
                            body: template.body(&prompt.text),
                            tokens: u32::try_from(prompt.tokens).unwrap_or(u32::MAX),
                            text: prompt.text,
                        }),
                        Err(error) => Err(error.to_string()),
                    };
                    // The load is over when nobody takes prompts any more.
                    if sender.blocking_send(Item { index, ready }).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Feed {
            queue: Mutex::new(receiver),
        })
    }

    /// The next prompt; `None` only if the thread that makes them died or `indices` ended.
    pub async fn next(&self) -> Option<Item> {
        self.queue.lock().await.recv().await
    }
}
