//! The address of one server, however the user wrote it.

use std::fmt;

use url::Url;

use crate::dialect::{DIALECTS, Dialect};

/// The address of one OpenAI-compatible server.
///
/// Users give the server (`http://host:8000`), the API root (`…/v1`) or a whole API path
/// (`…/v1/chat/completions`); all become the same thing. `Debug` and `Display` hide the values of
/// query parameters, which may hold a key.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointUrl {
    /// The server, up to but excluding `/v1`.
    pub base: Url,
    /// The address as it was given.
    pub given: Url,
}

/// A text that is not the address of an endpoint. Never contains credentials of the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointUrlError {
    /// Not a URL at all.
    #[error("it is not a URL ({0})")]
    NotAUrl(url::ParseError),
    /// A URL of another scheme, or none.
    #[error("it does not start with http:// or https://")]
    NotHttp,
    /// `user:password@` would end up in reports and logs.
    #[error(
        "it holds a user name or password, which would leak into reports; set the environment variable OPENAI_API_KEY instead"
    )]
    Credentials,
    /// `#…` is never sent to a server.
    #[error("it holds a fragment (#…), which is never sent to a server")]
    Fragment,
    /// An address below `/v1` that is neither of the two APIs.
    #[error("its path {0} is neither …/v1/chat/completions nor …/v1/completions")]
    OtherApi(String),
}

impl EndpointUrl {
    /// Takes an address as the user wrote it.
    ///
    /// # Errors
    /// See [`EndpointUrlError`].
    pub fn parse(text: &str) -> Result<EndpointUrl, EndpointUrlError> {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        // Checked on the text: `localhost:8000` parses as a URL of scheme `localhost`, and
        // `http:host` gains its slashes silently.
        if !lower.starts_with("http://") && !lower.starts_with("https://") {
            return Err(EndpointUrlError::NotHttp);
        }
        let given = Url::parse(text).map_err(EndpointUrlError::NotAUrl)?;
        if !given.username().is_empty() || given.password().is_some() {
            return Err(EndpointUrlError::Credentials);
        }
        if given.fragment().is_some() {
            return Err(EndpointUrlError::Fragment);
        }
        let (root, _) = split_api_path(given.path());
        let prefix = root.strip_suffix("/v1").unwrap_or(root);
        if prefix.split('/').any(|segment| segment == "v1") {
            return Err(EndpointUrlError::OtherApi(given.path().to_owned()));
        }
        let mut base = given.clone();
        base.set_query(None);
        base.set_path(prefix);
        Ok(EndpointUrl { base, given })
    }

    /// Where requests of `dialect` go: `{base}/v1/…`. A `given` address that names an API's path
    /// itself is kept as it is; another API's path replaces it. The query is kept in any case.
    pub fn api(&self, dialect: &dyn Dialect) -> Url {
        match split_api_path(self.given.path()) {
            (_, Some(path)) if path == dialect.path() => self.given.clone(),
            (root, Some(_)) => {
                let mut url = self.given.clone();
                url.set_path(&format!("{root}{}", dialect.path()));
                url
            }
            (_, None) => self.at(&format!("/v1{}", dialect.path())),
        }
    }

    /// An address on the server beside the API, such as `/health`, with the query of the given address: it
    /// may hold what a gateway asks for (a version, a key).
    pub fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_query(self.given.query());
        let prefix = url.path().trim_end_matches('/');
        url.set_path(&format!("{prefix}/{}", path.trim_start_matches('/')));
        url
    }
}

/// The path without a closing slash, split before the path of an API.
fn split_api_path(path: &str) -> (&str, Option<&'static str>) {
    let path = path.trim_end_matches('/');
    let paths = DIALECTS.iter().map(|dialect| dialect.path());
    let splits = paths.filter_map(|api| Some((path.strip_suffix(api)?, Some(api))));
    splits
        .min_by_key(|(root, _)| root.len())
        .unwrap_or((path, None))
}

/// The address with the values of its query hidden, which may be keys; that of `api-version` is none.
pub(crate) fn hide_query(url: &Url) -> Url {
    let mut shown = url.clone();
    if url.query().is_some() {
        shown
            .query_pairs_mut()
            .clear()
            .extend_pairs(url.query_pairs().map(|(name, value)| {
                let open = name == "api-version";
                (name, if open { value } else { "hidden".into() })
            }));
    }
    shown
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(hide_query(&self.given).as_str())
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{ChatCompletions, Completions};

    #[test]
    fn every_way_to_write_a_server_reaches_both_apis() {
        let cases = [
            ("http://h:8000", "http://h:8000/", ""),
            ("http://h:8000/", "http://h:8000/", ""),
            ("http://h:8000/v1", "http://h:8000/", ""),
            ("http://h:8000/v1/", "http://h:8000/", ""),
            ("http://h:8000/v1/chat/completions", "http://h:8000/", ""),
            ("http://h:8000/v1/completions", "http://h:8000/", ""),
            (
                "HTTPS://h/llm-a/v1/completions",
                "https://h/llm-a",
                "/llm-a",
            ),
            ("http://h/llm-a", "http://h/llm-a", "/llm-a"),
            ("http://[::1]:9/v1", "http://[::1]:9/", ""),
        ];
        for (text, base, prefix) in cases {
            let url = EndpointUrl::parse(text).unwrap();
            assert_eq!(url.base.as_str(), base, "{text}");
            for (dialect, path) in DIALECTS
                .into_iter()
                .zip(["/v1/chat/completions", "/v1/completions"])
            {
                assert_eq!(url.api(dialect).path(), format!("{prefix}{path}"), "{text}");
            }
            assert_eq!(url.at("/health").path(), format!("{prefix}/health"));
        }
    }

    #[test]
    fn a_whole_api_path_is_kept_with_its_query() {
        let text = "https://h/openai/deployments/d/chat/completions?api-version=2024-06-01";
        let url = EndpointUrl::parse(text).unwrap();
        assert_eq!(url.api(&ChatCompletions).as_str(), text);
        assert_eq!(
            url.api(&Completions).as_str(),
            "https://h/openai/deployments/d/completions?api-version=2024-06-01"
        );
        assert_eq!(
            url.at("health").as_str(),
            "https://h/openai/deployments/d/health?api-version=2024-06-01"
        );
    }

    #[test]
    fn the_query_stays_on_every_question() {
        for text in [
            "http://h?key=a%20b",
            "http://h/v1?key=a%20b",
            "http://h/v1/?key=a%20b",
            "http://h/v1/chat/completions?key=a%20b",
            "http://h/v1/completions?key=a%20b",
        ] {
            let url = EndpointUrl::parse(text).unwrap();
            for (asked, path) in [
                (url.at("/health"), "health"),
                (url.at("/v1/models"), "v1/models"),
                (url.api(&ChatCompletions), "v1/chat/completions"),
                (url.api(&Completions), "v1/completions"),
            ] {
                assert_eq!(
                    asked.as_str(),
                    format!("http://h/{path}?key=a%20b"),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn wrong_addresses_are_named() {
        let wrong = |text| EndpointUrl::parse(text).unwrap_err();
        assert_eq!(wrong("localhost:8000"), EndpointUrlError::NotHttp);
        assert_eq!(wrong(""), EndpointUrlError::NotHttp);
        assert_eq!(wrong("ftp://h/v1"), EndpointUrlError::NotHttp);
        assert_eq!(wrong("http://u:pw@h/v1"), EndpointUrlError::Credentials);
        assert_eq!(wrong("http://h/v1#top"), EndpointUrlError::Fragment);
        assert!(matches!(wrong("http://"), EndpointUrlError::NotAUrl(_)));
        assert!(matches!(
            wrong("http://h:99999"),
            EndpointUrlError::NotAUrl(_)
        ));
        assert_eq!(
            wrong("http://h/v1/embeddings"),
            EndpointUrlError::OtherApi("/v1/embeddings".into())
        );
    }

    #[test]
    fn query_values_are_never_shown() {
        let url = EndpointUrl::parse("http://h/v1?api-version=1&key=s3cret").unwrap();
        let shown = format!("{url} {url:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("api-version=1"), "{shown}");
    }
}
