//! Prepares text from outside for display: hides secrets, removes control characters, joins lines, and truncates.
//!
//! A server, a proxy or a log may repeat what it was sent. All such text passes through [`line()`] or [`hide`] before it
//! reaches the terminal, a record or a page; [`learn`] registers the secrets.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use once_cell::sync::Lazy;
use regex::Regex;
use url::Url;
use url::form_urlencoded::byte_serialize;

/// Replaces a secret.
pub(crate) const HIDDEN: &str = "<hidden>";

/// The secrets of every configuration used in this process, in each encoding in which a server may repeat them. Longest
/// first, as one may be a part of another.
static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Values that look like secrets: credentials in an address, a bearer token, and the value of an option, header or
/// variable that is named after a key.
static LOOKS_SECRET: Lazy<[Regex; 4]> = Lazy::new(|| {
    let patterns = [
        r"(?i)(?<lead>[a-z][a-z0-9+.-]*://)[^\s/@]+(?<trail>@)",
        r"(?i)(?<lead>\b(?:bearer|basic)\s+)[a-z0-9._~+/=-]{8,}",
        r"(?i)(?<lead>--[a-z0-9_-]*(?:key|token|secret|password)\s+)[^\s-]\S{5,}",
        r#"(?i)(?<lead>(?:api[_-]?key|access[_-]?token|auth[_-]?token|hf[_-]?token|secret|password)["']?\s*[:=]\s*[\["']*)[^\s"',;\]<>]{6,}"#,
    ];
    patterns.map(|pattern| Regex::new(pattern).expect("a valid pattern"))
});

/// Placeholders that users give as the key of a server that needs none.
const PLACEHOLDERS: [&str; 7] = ["empty", "none", "null", "dummy", "token", "test", "unused"];

/// Longest name from a server, such as a model's (characters).
pub(crate) const MOST_OF_NAME: usize = 256;

/// Hides these secrets from now on, and those in the environment.
pub(crate) fn learn(mut secrets: Secrets) {
    for (name, value) in std::env::vars_os() {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
            continue;
        };
        if is_secret_name(name) {
            secrets.add(value);
        }
        secrets.add_credentials(value);
    }
    let mut known = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    secrets.0.extend(known.drain(..));
    *known = secrets.0.into_iter().collect();
    known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
}

/// The text with its secrets replaced.
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
    /// Only this much of a longer text is processed (bytes).
    const WINDOW: usize = 4 * 1024;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(WINDOW)]);
    let separates = |c: char| c.is_whitespace() || c.is_control() || is_invisible(c);
    let words = text.split(separates).filter(|word| !word.is_empty());
    let joined = Vec::from_iter(words).join(" ");
    // Hidden before truncation, or the start of a secret could remain at the end.
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

/// Characters that reorder or hide their neighbours.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Characters of the longest secret.
fn longest() -> usize {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    secrets.first().map_or(0, String::len)
}

/// Whether the value of an option, header or variable of this name is secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
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

/// Secrets in every encoding in which a server may repeat them.
#[derive(Default)]
pub(crate) struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Adds a value that is known to be a key, unless it is a placeholder.
    pub fn add_key(&mut self, value: &str) {
        const LEAST: usize = 4;
        /// A shorter number is a quantity.
        const LEAST_DIGITS: usize = 8;
        let lower = value.to_ascii_lowercase();
        let is_number = value.len() < LEAST_DIGITS && value.bytes().all(|b| b.is_ascii_digit());
        if value.len() >= LEAST && !is_number && !PLACEHOLDERS.contains(&&*lower) {
            let in_json = serde_json::Value::from(value).to_string();
            // Without the quotes.
            self.0.insert(in_json[1..in_json.len() - 1].to_owned());
            self.0.insert(value.replace('/', "\\/"));
            self.0.insert(byte_serialize(value.as_bytes()).collect());
            self.0.insert(BASE64.encode(value));
            self.0.insert(value.to_owned());
        }
    }

    /// Adds the password of an address, such as a proxy's, if it has one.
    fn add_credentials(&mut self, address: &str) {
        let url = address.contains("://").then(|| Url::parse(address).ok());
        let Some(url) = url.flatten() else {
            return;
        };
        let decoded = |part: &str| -> String {
            let pair = format!("={}", part.replace('+', "%2B"));
            let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
            pairs
                .next()
                .map_or(String::new(), |(_, part)| part.into_owned())
        };
        if let Some(password) = url.password().map(decoded) {
            // Sent together, in base64.
            self.add_key(&format!("{}:{password}", decoded(url.username())));
            self.add_key(&password);
        }
    }

    /// Adds the user name and password of `Basic` credentials, which a server may repeat as text.
    pub fn add_basic(&mut self, base64: &str) {
        let decoded = BASE64.decode(base64.trim()).unwrap_or_default();
        let Ok(text) = String::from_utf8(decoded) else {
            return;
        };
        if let Some((user, password)) = text.split_once(':') {
            self.add(user);
            self.add_key(password);
            self.add_key(&text);
        }
    }

    /// Adds a value that may be secret, unless it is a plain word, which would then be hidden in every sentence.
    pub fn add(&mut self, value: &str) {
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

    fn learn_key(key: &str) {
        let mut secrets = Secrets::default();
        secrets.add_key(key);
        learn(secrets);
    }

    #[test]
    fn a_secret_is_hidden_in_every_spelling_and_wherever_a_text_is_cut() {
        learn_key("sk/\"redact\"-4711");
        for secret in [
            "sk/\"redact\"-4711",
            "sk/\\\"redact\\\"-4711",
            "sk%2F%22redact%22-4711",
            "c2svInJlZGFjdCItNDcxMQ==",
        ] {
            for text in [format!("your key {secret} is wrong"), format!("x{secret}x")] {
                let shown = line(&text, 300);
                assert!(
                    !shown.contains("redact") && !shown.contains("c2sv") && shown.contains(HIDDEN),
                    "{shown}"
                );
            }
            for most in 0..40 {
                let shown = line(&format!("{} {secret}", "x".repeat(20)), most);
                assert!(!shown.contains(&secret[..2]), "{shown}");
            }
        }
    }

    #[test]
    fn the_password_of_an_address_is_hidden_alone_and_as_it_is_sent() {
        let mut secrets = Secrets::default();
        secrets.add_credentials("http://al:p%2Fw-4712@proxy:3128");
        learn(secrets);
        for text in ["p/w-4712", "al:p/w-4712", "YWw6cC93LTQ3MTI="] {
            assert_eq!(hide(&format!("no {text}.")), format!("no {HIDDEN}."));
        }
        let mut secrets = Secrets::default();
        secrets.add_credentials("http://proxy-without-4713:3128");
        assert!(secrets.0.is_empty());
    }

    #[test]
    fn a_value_that_looks_like_a_secret_is_hidden() {
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
    fn a_line_cannot_control_a_terminal_and_is_truncated() {
        assert_eq!(
            line("a\u{1b}[31m\u{9b}2J\r\n\u{202e}b\u{7}", 99),
            "a [31m 2J b"
        );
        assert_eq!(line_of(b"\xff ab", 3), "\u{fffd} a…");
        let large = vec![b'x'; 10 << 20];
        assert_eq!(line_of(&large, 10).chars().count(), 11);
    }

    #[test]
    fn placeholders_plain_words_and_small_numbers_stay() {
        let mut secrets = Secrets::default();
        secrets.add("research");
        ["EMPTY", "4096"]
            .iter()
            .for_each(|key| secrets.add_key(key));
        learn(secrets);
        let text = "the queue of 4096 is EMPTY, says research";
        assert_eq!(hide(text), text);
    }
}
