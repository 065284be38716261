//! Azure AI Content Safety, `text:analyze`.
//!
//! Request and response as in Microsoft's REST reference of api-version 2024-09-01; a text may have up to
//! 10,000 characters, so a longer one is checked in pieces.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::error::SafetyError;
use super::outcome::CheckOutcome;
use crate::client::{BodyError, innermost, whole_body};
use crate::config::ApiKey;
use crate::dialect::error_in_body;

const API_VERSION: &str = "2024-09-01";

/// The most that is read of an answer.
const MOST_BYTES: usize = 1 << 20;

/// The service's limit on one text, in characters.
const MAX_CHARACTERS: usize = 10_000;

/// A check that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Azure {
    /// A client of its own: the endpoints' bearer token is none of this service's business.
    http: reqwest::Client,
    url: Url,
    /// Its address without the path, for messages.
    endpoint: String,
    key: ApiKey,
    threshold: u8,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Analysis {
    categories_analysis: Vec<CategoryAnalysis>,
}

#[derive(Deserialize)]
struct CategoryAnalysis {
    category: String,
    #[serde(default)]
    severity: u8,
}

impl Azure {
    pub fn new(endpoint: &Url, key: ApiKey, threshold: u8) -> Result<Azure, reqwest::Error> {
        let mut url = endpoint.clone();
        let path = format!(
            "{}/contentsafety/text:analyze",
            endpoint.path().trim_end_matches('/')
        );
        url.set_path(&path);
        url.set_query(Some(&format!("api-version={API_VERSION}")));
        Ok(Azure {
            http: reqwest::Client::builder()
                .tcp_nodelay(true)
                .timeout(TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .build()?,
            url,
            endpoint: endpoint.as_str().trim_end_matches('/').to_owned(),
            key,
            threshold,
        })
    }

    /// Checks a text; blocked where any category of any piece reaches the threshold.
    pub async fn check(&self, text: &str) -> Result<CheckOutcome, SafetyError> {
        let mut worst: Option<CategoryAnalysis> = None;
        for piece in pieces(text) {
            for found in self.analyze(piece).await?.categories_analysis {
                if worst.as_ref().is_none_or(|w| found.severity > w.severity) {
                    worst = Some(found);
                }
            }
        }
        Ok(match worst {
            Some(worst) if worst.severity >= self.threshold => CheckOutcome::Blocked {
                category: worst.category,
                severity: worst.severity,
            },
            _ => CheckOutcome::Allowed,
        })
    }

    async fn analyze(&self, text: &str) -> Result<Analysis, SafetyError> {
        let no_answer = |error: reqwest::Error| SafetyError::NoAnswer {
            endpoint: self.endpoint.clone(),
            reason: innermost(&error.without_url()),
        };
        let mut response = self
            .http
            .post(self.url.clone())
            .header("Ocp-Apim-Subscription-Key", self.key.header_value())
            .json(&json!({"text": text, "outputType": "FourSeverityLevels"}))
            .send()
            .await
            .map_err(no_answer)?;
        let status = response.status();
        let body = whole_body(&mut response, MOST_BYTES).await;
        let body = body.map_err(|error| match error {
            BodyError::Broken(error) => no_answer(error),
            too_large => SafetyError::NoAnswer {
                endpoint: self.endpoint.clone(),
                reason: too_large.to_string(),
            },
        })?;
        if !status.is_success() {
            return Err(SafetyError::Refused {
                endpoint: self.endpoint.clone(),
                status: status.as_u16(),
                message: match status.as_u16() {
                    // What is said of a key may repeat it.
                    401 | 403 => "the key was refused".to_owned(),
                    _ => error_in_body(&body),
                },
                hint: hint(status.as_u16()),
            });
        }
        serde_json::from_slice(&body).map_err(|error| SafetyError::NotAnAnalysis {
            endpoint: self.endpoint.clone(),
            reason: error.to_string(),
        })
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "check AZURE_CONTENT_SAFETY_KEY",
        404 => "check AZURE_CONTENT_SAFETY_ENDPOINT",
        429 => "the resource's rate limit is reached: lower CONCURRENT_LEVELS or raise its tier",
        _ => "see the resource's status",
    }
}

/// The text in pieces that the service accepts; one piece at least.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match text.char_indices().nth(MAX_CHARACTERS) {
            Some((cut, _)) => {
                rest = Some(&text[cut..]);
                Some(&text[..cut])
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};

    use super::*;

    const KEY: &str = "azure-secret-key";

    /// A service that answers each text by `answer` and keeps what it was asked.
    async fn service(
        answer: impl Fn(&str) -> (StatusCode, String) + Clone + Send + Sync + 'static,
    ) -> (Azure, Arc<Mutex<Vec<usize>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let route = move |headers: HeaderMap, body: String| {
            assert_eq!(headers["ocp-apim-subscription-key"], KEY);
            assert!(!headers.contains_key("authorization"));
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            let text = body["text"].as_str().unwrap().to_owned();
            log.lock().unwrap().push(text.chars().count());
            let (status, answer) = answer(&text);
            async move { (status, answer) }
        };
        let router = Router::new().route("/contentsafety/text:analyze", axum::routing::post(route));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let key = ApiKey::new(KEY).unwrap();
        (Azure::new(&url.parse().unwrap(), key, 4).unwrap(), asked)
    }

    fn analysis(severity: u8) -> String {
        json!({"blocklistsMatch": [], "categoriesAnalysis": [
            {"category": "Hate", "severity": 0}, {"category": "Violence", "severity": severity},
        ]})
        .to_string()
    }

    #[tokio::test]
    async fn the_threshold_decides() {
        let (azure, _) = service(|text| (StatusCode::OK, analysis(text.len() as u8))).await;
        assert_eq!(azure.check("ab").await, Ok(CheckOutcome::Allowed));
        let blocked = CheckOutcome::Blocked {
            category: "Violence".into(),
            severity: 4,
        };
        assert_eq!(azure.check("abcd").await, Ok(blocked));
    }

    #[tokio::test]
    async fn a_long_text_is_checked_in_pieces_and_the_worst_counts() {
        let (azure, asked) = service(|text| {
            (
                StatusCode::OK,
                analysis(if text.contains('!') { 6 } else { 0 }),
            )
        })
        .await;
        let text = format!("{}{}!{}", "ü".repeat(10_000), "b".repeat(20), "c".repeat(5));
        assert!(matches!(
            azure.check(&text).await,
            Ok(CheckOutcome::Blocked { severity: 6, .. })
        ));
        assert_eq!(*asked.lock().unwrap(), [10_000, 26]);
    }

    #[tokio::test]
    async fn refusals_say_what_to_do_and_never_show_the_key() {
        let refused = "the key was refused";
        let cases = [
            (
                StatusCode::UNAUTHORIZED,
                refused,
                "AZURE_CONTENT_SAFETY_KEY",
            ),
            (StatusCode::FORBIDDEN, refused, "AZURE_CONTENT_SAFETY_KEY"),
            (StatusCode::TOO_MANY_REQUESTS, "slow down", "rate limit"),
        ];
        for (status, words, hint) in cases {
            // A service that repeats the key that it does not accept.
            let said = match words == refused {
                true => KEY,
                false => words,
            };
            let body = json!({"error": {"code": "X", "message": said}}).to_string();
            let (azure, _) = service(move |_| (status, body.clone())).await;
            let error = azure.check("text").await.unwrap_err().to_string();
            assert!(
                error.contains(&format!("HTTP {}: {words}", status.as_u16())),
                "{error}"
            );
            assert!(error.contains(hint), "{error}");
            assert!(!format!("{error} {azure:?}").contains(KEY));
        }
    }

    #[tokio::test]
    async fn an_invalid_analysis_and_an_unreachable_service_are_errors() {
        let (azure, _) = service(|_| (StatusCode::OK, "<html>".to_owned())).await;
        let error = azure.check("text").await.unwrap_err();
        assert!(
            matches!(error, SafetyError::NotAnAnalysis { .. }),
            "{error}"
        );
        let key = ApiKey::new(KEY).unwrap();
        let nowhere = Azure::new(&"http://127.0.0.1:1/".parse().unwrap(), key, 4).unwrap();
        let error = nowhere.check("text").await.unwrap_err();
        assert!(matches!(error, SafetyError::NoAnswer { .. }), "{error}");
        assert!(
            error.to_string().contains("AZURE_CONTENT_SAFETY_ENDPOINT"),
            "{error}"
        );
    }
}
