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

/// The text cannot be a key: it is empty, or holds characters no HTTP header can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is empty or holds spaces, control or non-ASCII characters")]
pub struct NotAKey;

impl ApiKey {
    /// Takes a key, without the white space around it.
    pub fn new(text: &str) -> Result<ApiKey, NotAKey> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(NotAKey);
        }
        let secret = |value: String| {
            let mut value = HeaderValue::try_from(value).map_err(|_| NotAKey)?;
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
    fn a_key_never_shows_itself() {
        let key = ApiKey::new(" sk-secret-123\n").unwrap();
        assert_eq!(key.expose(), "sk-secret-123");
        assert_eq!(key.header_value().as_bytes(), b"sk-secret-123");
        assert_eq!(key.bearer().as_bytes(), b"Bearer sk-secret-123");
        let shown = format!("{key} {key:?} {:?} {:?}", key.bearer(), key.header_value());
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn text_no_header_can_carry_is_refused() {
        for text in ["", "  ", "two words", "line\nbreak", "schlüssel"] {
            assert_eq!(ApiKey::new(text), Err(NotAKey), "{text:?}");
        }
    }
}
