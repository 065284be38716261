//! Finding the tokenizer that the server under test uses, without downloading anything.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokenizers::Tokenizer;

use super::counter::TokenCounter;
use super::error::{TokenizeError, TokenizerSource};
use super::server::{PROBE_LIMIT, ServerTokenizer};
use super::special_tokens::SpecialTokens;

const TOKENIZER_FILE: &str = "tokenizer.json";

/// The search for the model's tokenizer, in this order:
///
/// 1. `tokenizer_path`; if it is given and unusable that is an error, never a reason to go on;
/// 2. `model` where it is a local directory that holds `tokenizer.json`, then the snapshot of it
///    in the Hugging Face cache (`HF_HUB_CACHE`, else `HF_HOME/hub`, else
///    `~/.cache/huggingface/hub`);
/// 3. the server's `/tokenize`;
/// 4. the shipped tokenizer, with a warning.
pub struct TokenizerLookup<'a> {
    /// `TOKENIZER_PATH`: a `tokenizer.json`, or a directory that holds one.
    pub tokenizer_path: Option<&'a Path>,
    /// The model's id (`organisation/name`) or its local directory.
    pub model: Option<&'a str>,
    /// Reads an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The server to ask if no file is found.
    pub server: Option<ServerTokenizer>,
}

/// A tokenizer that was found, and warnings about it.
#[derive(Debug)]
pub struct Loaded {
    /// Counts tokens.
    pub counter: TokenCounter,
    /// Warnings for the user; empty when the tokenizer is surely the model's own.
    pub warnings: Vec<String>,
}

impl TokenizerLookup<'_> {
    /// Finds and loads the tokenizer. Asks the server once where one is given and needed, so the
    /// rule of [`ServerTokenizer`] about threads applies.
    ///
    /// # Errors
    /// [`TokenizeError::Path`] for an unusable `TOKENIZER_PATH`.
    pub fn load(self) -> Result<Loaded, TokenizeError> {
        if let Some(path) = self.tokenizer_path {
            let counter = configured(path)?;
            return Ok(Loaded {
                counter,
                warnings: Vec::new(),
            });
        }
        let mut warnings = Vec::new();
        if let Some(file) = self.model.and_then(|model| find_locally(model, self.env)) {
            match read(&file) {
                Ok(counter) => return Ok(Loaded { counter, warnings }),
                Err(reason) => warnings.push(format!(
                    "{} {reason}, so it is not used to count tokens",
                    file.display()
                )),
            }
        }
        let why_not_server = match self.server {
            None => "no server was asked".to_owned(),
            Some(server) => match probe(server) {
                Ok(counter) => return Ok(Loaded { counter, warnings }),
                Err(error) => error.to_string(),
            },
        };
        warnings.push(format!(
            "The model's tokenizer is unknown ({why_not_server}). Prompt lengths are counted with \
             a small tokenizer shipped with servemark and will differ from the server's count: \
             set TOKENIZER_PATH to the model's tokenizer.json."
        ));
        let counter = TokenCounter::shipped()?;
        Ok(Loaded { counter, warnings })
    }
}

fn configured(path: &Path) -> Result<TokenCounter, TokenizeError> {
    let error = |reason: String| TokenizeError::Path {
        path: path.to_owned(),
        reason,
    };
    let inside = path.join(TOKENIZER_FILE);
    if path.is_dir() && !inside.is_file() {
        let hint = match path.join("tokenizer.model").is_file() {
            true => " (a tokenizer.model has to be converted first)",
            false => "",
        };
        let reason = format!("is a directory without a {TOKENIZER_FILE}{hint}");
        return Err(error(reason));
    }
    read(if path.is_dir() { &inside } else { path }).map_err(error)
}

/// Loads a `tokenizer.json`; the error completes a sentence that starts with the path.
fn read(file: &Path) -> Result<TokenCounter, String> {
    let bytes = fs::read(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be read ({error})"),
    })?;
    let tokenizer = Tokenizer::from_bytes(bytes)
        .map_err(|error| format!("is not a tokenizer this program understands ({error})"))?;
    TokenCounter::local(tokenizer, TokenizerSource::File(file.to_owned()))
        .map_err(|error| error.to_string())
}

/// Checks that the server tokenizes before relying on it.
fn probe(server: ServerTokenizer) -> Result<TokenCounter, TokenizeError> {
    let probed = server.clone().within(PROBE_LIMIT);
    probed.tokenize("Hello", SpecialTokens::None)?;
    TokenCounter::server(server)
}

fn find_locally(model: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let in_directory = Path::new(model).join(TOKENIZER_FILE);
    if in_directory.is_file() {
        return Some(in_directory);
    }
    let cached = hub_cache(env)?.join(format!("models--{}", model.replace('/', "--")));
    let snapshots = cached.join("snapshots");
    match fs::read_to_string(cached.join("refs").join("main")) {
        Ok(revision) => {
            Some(snapshots.join(revision.trim()).join(TOKENIZER_FILE)).filter(|file| file.is_file())
        }
        Err(_) => only_snapshot(&snapshots),
    }
}

/// The file of a model that was fetched at one revision only; one fetched at a fixed revision has no
/// `refs/main`.
fn only_snapshot(snapshots: &Path) -> Option<PathBuf> {
    let mut files = fs::read_dir(snapshots)
        .ok()?
        .flatten()
        .map(|entry| entry.path().join(TOKENIZER_FILE))
        .filter(|file| file.is_file());
    let first = files.next()?;
    files.next().is_none().then_some(first)
}

/// The Hugging Face cache directory, by the rules of the `huggingface_hub` client.
fn hub_cache(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| {
        env(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let expanded = |path: PathBuf| match (path.strip_prefix("~"), set("HOME")) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    };
    set("HF_HUB_CACHE")
        .or_else(|| set("HUGGINGFACE_HUB_CACHE"))
        .or_else(|| set("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/hub")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/huggingface/hub")))
        .map(expanded)
}

#[cfg(test)]
mod tests;
