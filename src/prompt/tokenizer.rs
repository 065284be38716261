//! Counting tokens the way the server under test will count them.
//!
//! **Special tokens.** A server that gets a text on `/v1/completions` adds its special tokens (such
//! as a begin-of-text token) before it counts, so `usage.prompt_tokens` includes them: such prompts
//! are counted with [`SpecialTokens::Added`]. On `/v1/chat/completions` the server wraps the text in
//! its chat template; the text alone is counted, with [`SpecialTokens::None`], and
//! `usage.prompt_tokens` is larger by the template's tokens.

mod lookup;
mod server;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokenizers::Tokenizer;
use url::Url;

pub use lookup::{Loaded, TokenizerLookup};
pub(crate) use server::PROBE_LIMIT;
pub use server::ServerTokenizer;

use super::{PromptError, words::WordPool};

/// The tokenizer in `fixtures/tokenizer/tokenizer.json`, shipped inside the library.
const SHIPPED: &[u8] = include_bytes!("../../fixtures/tokenizer/tokenizer.json");

/// Whether the tokens a tokenizer adds on its own (such as a begin-of-text token) are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialTokens {
    /// Counted: what `/v1/completions` reports as `usage.prompt_tokens`.
    Added,
    /// Not counted: the text alone, as it stands inside a chat message.
    None,
}

/// Where token counts come from; its `Display` is the wording for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenizerSource {
    /// A `tokenizer.json`, configured or found in the Hugging Face cache.
    File(PathBuf),
    /// A server's `/tokenize`, without the values of its query.
    Server(Url),
    /// The small tokenizer shipped with this crate; right only for a server that uses it too.
    Shipped,
}

impl fmt::Display for TokenizerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "tokenizer.json at {}", path.display()),
            Self::Server(url) => write!(f, "server /tokenize at {url}"),
            Self::Shipped => f.write_str("shipped small tokenizer (approximate)"),
        }
    }
}

/// Why tokens could not be counted, or a tokenizer could not be loaded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenizeError {
    /// `TOKENIZER_PATH` names something that is no usable tokenizer.
    #[error(
        "TOKENIZER_PATH: {} {reason}; give a tokenizer.json or a directory that holds one, or remove the key to use the server's own count",
        path.display()
    )]
    Path {
        /// The path that was tried.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The tokenizer itself refused a text, or is not one that this library can read.
    #[error("{origin}: {reason}")]
    Tokenizer {
        /// The tokenizer that failed.
        origin: TokenizerSource,
        /// Its own message.
        reason: String,
    },
    /// The server's `/tokenize` gave no count.
    #[error(
        "{url} gave no token count: {reason}; set TOKENIZER_PATH to the model's tokenizer.json to count without the server"
    )]
    Server {
        /// The URL that was asked, without the values of its query.
        url: Url,
        /// What happened, with the server's own message where it gave one.
        reason: String,
    },
}

/// Counts the tokens of a text, by a tokenizer of our own or by asking the server.
///
/// Shared between threads by `Arc`. With a server behind it, every call is one HTTP request that
/// blocks the calling thread, so it must not be used on a thread that drives async tasks.
pub struct TokenCounter {
    encoder: Encoder,
    source: TokenizerSource,
    /// The words that are one token each, found on first use.
    words: Mutex<Option<Arc<WordPool>>>,
}

enum Encoder {
    Local(Box<Tokenizer>),
    Server {
        server: Box<ServerTokenizer>,
        /// A server does not list its vocabulary; these entries are offered to it instead.
        candidates: Box<Tokenizer>,
    },
}

impl fmt::Debug for TokenCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCounter")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl TokenCounter {
    /// The small tokenizer shipped with this crate, which the embedded engine uses as well.
    ///
    /// # Errors
    /// [`TokenizeError::Tokenizer`] if the shipped file cannot be read, which a test rules out.
    pub fn shipped() -> Result<Self, TokenizeError> {
        Self::local(shipped_tokenizer()?, TokenizerSource::Shipped)
    }

    /// Counts with `tokenizer`, named `source` in reports.
    ///
    /// A truncation or padding rule stored in the tokenizer is dropped: both would make the count
    /// differ from what a server computes.
    ///
    /// # Errors
    /// [`TokenizeError::Tokenizer`] if the tokenizer does not let its truncation be removed.
    pub fn local(mut tokenizer: Tokenizer, source: TokenizerSource) -> Result<Self, TokenizeError> {
        tokenizer
            .with_truncation(None)
            .map_err(|error| TokenizeError::Tokenizer {
                origin: source.clone(),
                reason: error.to_string(),
            })?
            .with_padding(None);
        Ok(Self::new(Encoder::Local(Box::new(tokenizer)), source))
    }

    /// Counts by asking `server`.
    ///
    /// # Errors
    /// [`TokenizeError::Tokenizer`] as in [`TokenCounter::shipped`], whose vocabulary is offered to
    /// the server when random words are wanted.
    pub fn server(server: ServerTokenizer) -> Result<Self, TokenizeError> {
        let source = TokenizerSource::Server(server.shown_url());
        let encoder = Encoder::Server {
            server: Box::new(server),
            candidates: Box::new(shipped_tokenizer()?),
        };
        Ok(Self::new(encoder, source))
    }

    fn new(encoder: Encoder, source: TokenizerSource) -> Self {
        Self {
            encoder,
            source,
            words: Mutex::new(None),
        }
    }

    /// Where the counts come from.
    pub fn source(&self) -> &TokenizerSource {
        &self.source
    }

    /// The number of tokens of `text`.
    ///
    /// # Errors
    /// The tokenizer's or the server's refusal, as a [`TokenizeError`].
    pub fn count(&self, text: &str, special: SpecialTokens) -> Result<usize, TokenizeError> {
        match &self.encoder {
            Encoder::Local(tokenizer) => self
                .encode_locally(tokenizer, text, special)
                .map(|encoding| encoding.len()),
            Encoder::Server { server, .. } => {
                server.tokenize(text, special).map(|answer| answer.count)
            }
        }
    }

    /// The token ids of `text`.
    ///
    /// # Errors
    /// As [`TokenCounter::count`].
    pub fn token_ids(&self, text: &str, special: SpecialTokens) -> Result<Vec<u32>, TokenizeError> {
        match &self.encoder {
            Encoder::Local(tokenizer) => self
                .encode_locally(tokenizer, text, special)
                .map(|encoding| encoding.get_ids().to_vec()),
            Encoder::Server { server, .. } => {
                server.tokenize(text, special).map(|answer| answer.tokens)
            }
        }
    }

    /// The token ids of each of `texts`, in their order. A server is asked for several at a time.
    pub fn token_ids_of_each(
        &self,
        texts: &[&str],
        special: SpecialTokens,
    ) -> Vec<Result<Vec<u32>, TokenizeError>> {
        match &self.encoder {
            Encoder::Local(_) => texts
                .iter()
                .map(|text| self.token_ids(text, special))
                .collect(),
            Encoder::Server { server, .. } => server
                .tokenize_each(texts, special)
                .into_iter()
                .map(|answer| answer.map(|answer| answer.tokens))
                .collect(),
        }
    }

    /// Whether counting means requests to a server, which no load must share its server with.
    pub fn asks_a_server(&self) -> bool {
        matches!(self.encoder, Encoder::Server { .. })
    }

    fn encode_locally(
        &self,
        tokenizer: &Tokenizer,
        text: &str,
        special: SpecialTokens,
    ) -> Result<tokenizers::Encoding, TokenizeError> {
        tokenizer
            .encode_fast(text, special == SpecialTokens::Added)
            .map_err(|error| TokenizeError::Tokenizer {
                origin: self.source.clone(),
                reason: error.to_string(),
            })
    }

    /// The tokenizer whose vocabulary random words are drawn from: the counting one itself, or for a
    /// server, which does not list its own vocabulary, the shipped one.
    pub(super) fn vocabulary(&self) -> &Tokenizer {
        match &self.encoder {
            Encoder::Local(tokenizer) => tokenizer,
            Encoder::Server { candidates, .. } => candidates,
        }
    }

    /// How many one-text questions may be asked while looking for words that can start a prompt:
    /// each is a request where a server counts.
    pub(super) fn probe_budget(&self) -> usize {
        match self.encoder {
            Encoder::Local(_) => 4096,
            Encoder::Server { .. } => 64,
        }
    }

    /// Candidates that are dropped together where one of them disturbs the others, rather than looking for
    /// that one: looking takes requests where a server counts.
    pub(super) fn smallest_batch(&self) -> usize {
        match self.encoder {
            Encoder::Local(_) => 1,
            Encoder::Server { .. } => 12,
        }
    }

    /// The words that are exactly one token each, found on first use and kept.
    pub(super) fn words(&self) -> Result<Arc<WordPool>, PromptError> {
        let mut slot = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = &*slot {
            return Ok(Arc::clone(pool));
        }
        let pool = Arc::new(WordPool::build(self)?);
        *slot = Some(Arc::clone(&pool));
        Ok(pool)
    }
}

/// The shipped tokenizer itself, such as the embedded engine counts with.
///
/// # Errors
/// [`TokenizeError::Tokenizer`] if the shipped file cannot be read, which a test rules out.
pub fn shipped_tokenizer() -> Result<Tokenizer, TokenizeError> {
    Tokenizer::from_bytes(SHIPPED).map_err(|error| TokenizeError::Tokenizer {
        origin: TokenizerSource::Shipped,
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
