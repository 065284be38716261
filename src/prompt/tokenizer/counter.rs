use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokenizers::Tokenizer;

use super::error::{TokenizeError, TokenizerSource};
use super::server::ServerTokenizer;
use super::special_tokens::SpecialTokens;
use crate::prompt::word_pool::WordPool;

/// The tokenizer in `fixtures/tokenizer/tokenizer.json`, shipped inside the library.
const SHIPPED: &[u8] = include_bytes!("../../../fixtures/tokenizer/tokenizer.json");

/// Counts the tokens of a text with a local tokenizer, or by a request to a server.
///
/// Shared between threads by `Arc`. With a server behind it, every call is one HTTP request that
/// blocks the calling thread, so it must not be used on a thread that drives async tasks.
pub struct TokenCounter {
    encoder: Encoder,
    source: TokenizerSource,
    /// The words that are one token each, once they were looked for.
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
            .map_err(|error| refusal(&source, &*error))?
            .with_padding(None);
        Ok(Self::new(Encoder::Local(Box::new(tokenizer)), source))
    }

    /// Counts by requests to `server`.
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
        self.token_ids(text, special).map(|ids| ids.len())
    }

    /// The token ids of `text`.
    ///
    /// # Errors
    /// As [`TokenCounter::count`].
    pub fn token_ids(&self, text: &str, special: SpecialTokens) -> Result<Vec<u32>, TokenizeError> {
        match &self.encoder {
            Encoder::Local(tokenizer) => {
                let encoding = tokenizer.encode_fast(text, special == SpecialTokens::Added);
                let ids = encoding.map(|encoding| encoding.get_ids().to_vec());
                ids.map_err(|error| refusal(&self.source, &*error))
            }
            Encoder::Server { server, .. } => server.tokenize(text, special),
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
            Encoder::Server { server, .. } => server.tokenize_each(texts, special),
        }
    }

    /// Whether counting means requests to a server, which no load must share its server with.
    pub fn asks_a_server(&self) -> bool {
        matches!(self.encoder, Encoder::Server { .. })
    }

    /// The tokenizer whose vocabulary random words are drawn from: the counting one itself, or for a
    /// server, which does not list its own vocabulary, the shipped one.
    pub(in crate::prompt) fn vocabulary(&self) -> &Tokenizer {
        match &self.encoder {
            Encoder::Local(tokenizer) => tokenizer,
            Encoder::Server { candidates, .. } => candidates,
        }
    }

    /// How many one-text questions may be asked while looking for words that can start a prompt:
    /// each is a request where a server counts.
    pub(in crate::prompt) fn probe_budget(&self) -> usize {
        match self.encoder {
            Encoder::Local(_) => 4096,
            Encoder::Server { .. } => 64,
        }
    }

    /// Candidates that are dropped together where one of them disturbs the others, rather than looking for
    /// that one: looking takes requests where a server counts.
    pub(in crate::prompt) fn smallest_batch(&self) -> usize {
        match self.encoder {
            Encoder::Local(_) => 1,
            Encoder::Server { .. } => 12,
        }
    }

    /// The words that are one token each; `find` looks for them on first use.
    pub(in crate::prompt) fn word_pool<E>(
        &self,
        find: impl FnOnce() -> Result<WordPool, E>,
    ) -> Result<Arc<WordPool>, E> {
        let mut slot = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = &*slot {
            return Ok(Arc::clone(pool));
        }
        let pool = Arc::new(find()?);
        *slot = Some(Arc::clone(&pool));
        Ok(pool)
    }
}

/// The shipped tokenizer itself, such as the embedded engine counts with.
///
/// # Errors
/// [`TokenizeError::Tokenizer`] if the shipped file cannot be read, which a test rules out.
pub fn shipped_tokenizer() -> Result<Tokenizer, TokenizeError> {
    Tokenizer::from_bytes(SHIPPED).map_err(|error| refusal(&TokenizerSource::Shipped, &*error))
}

fn refusal(origin: &TokenizerSource, error: &dyn std::error::Error) -> TokenizeError {
    TokenizeError::Tokenizer {
        origin: origin.clone(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
