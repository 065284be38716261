//! Text from elsewhere, made fit to be shown: secrets hidden, on one line, without control characters, cut.
//!
//! A server, a proxy or a log may repeat what it was sent. Whatever of it reaches the terminal, a record or a
//! page goes through [`line()`] or [`hide`] where it enters, and [`learn`] tells both what is secret.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use once_cell::sync::Lazy;
use regex::Regex;
use url::Url;
use url::form_urlencoded::byte_serialize;

use crate::config::{Config, Deployment, SafetyBackend, Servers, Template};

/// What stands in the place of a secret.
pub(crate) const HIDDEN: &str = "<hidden>";

/// The secrets of every configuration that was put to use in this process, in each spelling that they may be
/// repeated in, longest first: one may be a part of another.
static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Values that look like secrets whoever they belong to: credentials in an address, a bearer token, and what
/// follows an option, a header or a variable that is named after a key.
static LOOKS_SECRET: Lazy<[Regex; 4]> = Lazy::new(|| {
    let patterns = [
        r"(?i)(?<lead>[a-z][a-z0-9+.-]*://)[^\s/@]+(?<trail>@)",
        r"(?i)(?<lead>\b(?:bearer|basic)\s+)[a-z0-9._~+/=-]{8,}",
        r"(?i)(?<lead>--[a-z0-9_-]*(?:key|token|secret|password)\s+)[^\s-]\S{5,}",
        r#"(?i)(?<lead>(?:api[_-]?key|access[_-]?token|auth[_-]?token|hf[_-]?token|secret|password)["']?\s*[:=]\s*[\["']*)[^\s"',;\]<>]{6,}"#,
    ];
    patterns.map(|pattern| Regex::new(pattern).expect("a valid pattern"))
});

/// Words that stand for no key where a server wants none.
const PLACEHOLDERS: [&str; 7] = ["empty", "none", "null", "dummy", "token", "test", "unused"];

/// From here on the secrets of this configuration and of the environment are hidden.
pub(crate) fn learn(config: &Config) {
    let mut found = Found::default();
    found.of_config(config);
    for (name, value) in std::env::vars_os() {
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str())
            && is_secret_name(name)
        {
            found.add(value);
        }
    }
    keep(found);
}

/// From here on the secrets in the command and the variables of this deployment are hidden, too.
pub(crate) fn learn_deployment(deployment: &Deployment) {
    let mut found = Found::default();
    found.of_deployment(deployment);
    keep(found);
}

fn keep(mut found: Found) {
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    found.0.extend(secrets.drain(..));
    *secrets = found.0.into_iter().collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
}

/// A text without the secrets in it.
pub(crate) fn hide(text: &str) -> Cow<'_, str> {
    let mut shown = Cow::Borrowed(text);
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    for secret in secrets.iter().filter(|secret| text.contains(&***secret)) {
        shown = shown.replace(secret, HIDDEN).into();
    }
    for pattern in LOOKS_SECRET.iter() {
        if let Cow::Owned(hidden) =
            pattern.replace_all(&shown, format!("${{lead}}{HIDDEN}${{trail}}"))
        {
            shown = hidden.into();
        }
    }
    shown
}

/// A text on one line of at most `most` characters, without control characters and secrets.
pub(crate) fn line(text: &str, most: usize) -> String {
    line_of(text.as_bytes(), most)
}

/// The start of some bytes on one line of at most `most` characters, without control characters and secrets.
pub(crate) fn line_of(bytes: &[u8], most: usize) -> String {
    /// Of a larger text no more is looked at.
    const WINDOW: usize = 4 * 1024;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(WINDOW)]);
    let steers = |c: char| c.is_whitespace() || c.is_control() || is_invisible(c);
    let words = text.split(steers).filter(|word| !word.is_empty());
    let joined = Vec::from_iter(words).join(" ");
    // Hidden before it is cut, or the start of a secret would be left at the end.
    let mut shown = hide(&joined).into_owned();
    if bytes.len() > WINDOW {
        let whole = shown.chars().count().saturating_sub(longest());
        shown = shown.chars().take(whole).collect();
    }
    match shown.char_indices().nth(most) {
        Some((cut, _)) => format!("{}…", &shown[..cut]),
        None => shown,
    }
}

/// Characters that reorder or hide what is beside them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Characters of the longest secret.
fn longest() -> usize {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    secrets.first().map_or(0, String::len)
}

/// Whether what an option, a header or a variable of this name holds is secret.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let ends = [
        "key",
        "apikey",
        "token",
        "secret",
        "password",
        "credentials",
    ];
    ends.iter().any(|end| {
        let before = name.strip_suffix(end);
        before.is_some_and(|before| before.is_empty() || before.ends_with('_') || *end != "key")
    })
}

/// Secrets in all their spellings.
#[derive(Default)]
struct Found(BTreeSet<String>);

impl Found {
    fn of_config(&mut self, config: &Config) {
        if let Some(key) = &config.api_key {
            self.add_key(key.expose());
        }
        for value in config.model_headers.values() {
            if let (true, Ok(value)) = (value.is_sensitive(), value.to_str()) {
                self.add(value);
                // A scheme and its token, the members of a cookie.
                value
                    .split([' ', ';', ',', '='])
                    .for_each(|part| self.add(part));
            }
        }
        for safety in [&config.safety, &config.deployment_safety]
            .into_iter()
            .flatten()
        {
            if let SafetyBackend::Azure { key, .. } = &safety.backend {
                self.add_key(key.expose());
            }
        }
        config
            .endpoints()
            .iter()
            .for_each(|url| self.of_address(&url.given));
        config
            .deployments
            .iter()
            .for_each(|deployment| self.of_deployment(deployment));
    }

    fn of_deployment(&mut self, deployment: &Deployment) {
        let launch = match &deployment.servers {
            Servers::Listed(urls) => {
                return urls.iter().for_each(|url| self.of_address(&url.given));
            }
            Servers::Launched(launch) => launch,
        };
        let mut words = launch.command.iter().filter_map(Template::plain).peekable();
        while let Some(word) = words.next() {
            if let Some((name, value)) = word.split_once('=') {
                if is_secret_name(name) {
                    self.add_key(value);
                }
            } else if word.starts_with('-') && is_secret_name(word) {
                // An option may take several: `--api-key a b`.
                while let Some(value) = words.next_if(|word| !word.starts_with('-')) {
                    self.add_key(value);
                }
            }
        }
        for (name, value) in &launch.env {
            if let (true, Some(value)) = (is_secret_name(name), value.plain()) {
                self.add_key(value);
            }
        }
    }

    fn of_address(&mut self, url: &Url) {
        for (name, value) in url.query_pairs().filter(|(name, _)| name != "api-version") {
            match is_secret_name(&name) {
                true => self.add_key(&value),
                false => self.add(&value),
            }
        }
    }

    /// A value that is known to be a key, unless it stands for none.
    fn add_key(&mut self, value: &str) {
        const LEAST: usize = 4;
        /// A shorter number counts something.
        const LEAST_DIGITS: usize = 8;
        let lower = value.to_ascii_lowercase();
        let is_number = value.len() < LEAST_DIGITS && value.bytes().all(|b| b.is_ascii_digit());
        if value.len() >= LEAST && !is_number && !PLACEHOLDERS.contains(&&*lower) {
            let in_json = serde_json::Value::from(value).to_string();
            self.0.insert(in_json.trim_matches('"').to_owned());
            self.0.insert(byte_serialize(value.as_bytes()).collect());
            self.0.insert(value.to_owned());
        }
    }

    /// A value that may be secret: not where it is a plain word, which would be hidden in every sentence.
    fn add(&mut self, value: &str) {
        const LEAST: usize = 6;
        const LONGEST_WORD: usize = 12;
        let value = value.trim();
        let is_word = value.chars().all(char::is_alphabetic) && value.len() < LONGEST_WORD;
        if value.len() >= LEAST && !is_word {
            self.add_key(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigSource;

    fn config(file: &str, env: &[(&str, &str)]) -> Config {
        let env = |wanted: &str| {
            let mut pairs = env.iter();
            pairs
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| (*value).to_owned())
        };
        Config::from_parts(ConfigSource::BuiltIn, file, &env).unwrap()
    }

    #[test]
    fn every_secret_of_a_configuration_is_hidden_wherever_it_is_repeated() {
        let file = r#"{
            "MODEL_HEADERS": {"X-Tenant": "tenant-77-secret", "Cookie": "sid=cook1e-s3cret; theme=dark"},
            "MODEL_ENDPOINTS": ["http://h:1/v1?key=que%2Fry-s3cret&api-version=2024-06-01"],
            "DEPLOYMENTS": [{"name": "d", "replicas": 1,
                "command": ["serve", "--api-key", "cmd-s3cret-1", "cmd-s3cret-2", "--port={port}", "--hf-token=cmd-s3cret-3"],
                "env": {"MY_TOKEN": "env-s3cret"}}]
        }"#;
        learn(&config(file, &[("OPENAI_API_KEY", "sk-redact-4711")]));
        for secret in [
            "sk-redact-4711",
            "tenant-77-secret",
            "cook1e-s3cret",
            "que/ry-s3cret",
            "que%2Fry-s3cret",
            "cmd-s3cret-1",
            "cmd-s3cret-2",
            "cmd-s3cret-3",
            "env-s3cret",
        ] {
            for text in [
                format!("your key {secret} is wrong"),
                format!("{{\"auth\":\"x{secret}x\"}}"),
            ] {
                let shown = line(&text, 300);
                assert!(!shown.contains(secret) && shown.contains(HIDDEN), "{shown}");
            }
            // Cut anywhere, no start of it is left.
            for most in 0..40 {
                let shown = line(&format!("{} {secret}", "x".repeat(20)), most);
                assert!(!shown.contains(&secret[..4]), "{shown}");
            }
        }
        assert_eq!(
            hide("the dark 2024-06-01 sid stays"),
            "the dark 2024-06-01 sid stays"
        );
    }

    #[test]
    fn what_looks_like_a_secret_is_hidden_though_nobody_knows_it() {
        for (text, shown) in [
            ("to http://user:pw1234@h:8/x", "to http://<hidden>@h:8/x"),
            (
                "Authorization: Bearer abcdef123456",
                "Authorization: Bearer <hidden>",
            ),
            (
                "serve --api-key abc123456 --port 8",
                "serve --api-key <hidden> --port 8",
            ),
            (
                "args: {'api_key': ['abc123456'], 'port': 8}",
                "args: {'api_key': ['<hidden>'], 'port': 8}",
            ),
            ("HF_TOKEN=hf_abcdefgh", "HF_TOKEN=<hidden>"),
            ("the bearer of news", "the bearer of news"),
            (
                "the secret expired, password missing",
                "the secret expired, password missing",
            ),
            (
                "max_tokens: 8000000 is too much",
                "max_tokens: 8000000 is too much",
            ),
        ] {
            assert_eq!(hide(text), shown);
        }
    }

    #[test]
    fn a_line_cannot_steer_a_terminal_and_is_cut() {
        assert_eq!(
            line("a\u{1b}[31m\u{9b}2J\r\n\u{202e}b\u{7}", 99),
            "a [31m 2J b"
        );
        assert_eq!(line_of(b"\xff ab", 3), "\u{fffd} a…");
        let large = vec![b'x'; 10 << 20];
        assert_eq!(line_of(&large, 10).chars().count(), 11);
    }

    #[test]
    fn placeholders_and_plain_words_stay() {
        let file = r#"{"MODEL_HEADERS": {"X-Team": "research"}}"#;
        learn(&config(file, &[("OPENAI_API_KEY", "EMPTY")]));
        assert_eq!(
            hide("the queue is EMPTY, says research"),
            "the queue is EMPTY, says research"
        );
    }
}
