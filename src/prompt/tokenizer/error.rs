use std::fmt;
use std::path::PathBuf;

use url::Url;

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
    /// `TOKENIZER_PATH` is not a usable tokenizer.
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
    /// The tokenizer refused a text, or this library cannot read it.
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
