//! A secret that cannot be printed by accident.

use std::fmt;

use reqwest::header::HeaderValue;

/// A secret key. `Debug` and `Display` print `<hidden>`; [`ApiKey::expose`] gives the text.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    text: String,
    bearer: HeaderValue,
    plain: HeaderValue,
}

/// The text cannot be a key: it is empty, or has characters that are invalid in an HTTP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is empty or has spaces, control or non-ASCII characters")]
pub struct InvalidApiKey;

impl ApiKey {
    /// Parses a key, ignoring surrounding white space.
    pub fn new(text: &str) -> Result<ApiKey, InvalidApiKey> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidApiKey);
        }
        let secret = |value: String| {
            let mut value = HeaderValue::try_from(value).map_err(|_| InvalidApiKey)?;
            value.set_sensitive(true);
            Ok(value)
        };
        Ok(ApiKey {
            text: text.to_owned(),
            bearer: secret(format!("Bearer {text}"))?,
            plain: secret(text.to_owned())?,
        })
    }

    /// The secret itself, for the request that needs it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The value of an `Authorization` header, marked sensitive.
    pub fn bearer(&self) -> &HeaderValue {
        &self.bearer
    }

    /// The key alone as a header value, marked sensitive.
    pub fn header_value(&self) -> &HeaderValue {
        &self.plain
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(<hidden>)")
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown() {
        let key = ApiKey::new(" sk-secret-123\n").unwrap();
        assert_eq!(key.expose(), "sk-secret-123");
        assert_eq!(key.header_value().as_bytes(), b"sk-secret-123");
        assert_eq!(key.bearer().as_bytes(), b"Bearer sk-secret-123");
        let shown = format!("{key} {key:?} {:?} {:?}", key.bearer(), key.header_value());
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn text_that_is_invalid_in_a_header_is_refused() {
        for text in ["", "  ", "two words", "line\nbreak", "schlüssel"] {
            assert_eq!(ApiKey::new(text), Err(InvalidApiKey), "{text:?}");
        }
    }
}
