//! The settings of the content-safety check: `SAFE_CHECK` and the `SAFETY_*` keys.

use std::net::IpAddr;

use url::{Host, Url};

use super::ApiKey;
use super::error::{Origin, Problem};
use super::keys;
use super::reader::Reader;
use super::value::{self, Fault, without_secrets};

/// How texts are checked before and after a request.
#[derive(Clone, Debug, PartialEq)]
pub struct SafetyConfig {
    /// The service that checks.
    pub backend: SafetyBackend,
}

/// A service that checks texts.
#[derive(Clone, Debug, PartialEq)]
pub enum SafetyBackend {
    /// A stand-in that takes as long as a service would and allows everything.
    Simulated {
        /// Least and greatest delay in milliseconds; delays are uniform between them.
        delay_ms: (f64, f64),
    },
    /// Azure AI Content Safety.
    Azure {
        /// The resource's address, from `AZURE_CONTENT_SAFETY_ENDPOINT`.
        endpoint: Url,
        /// Its key, from `AZURE_CONTENT_SAFETY_KEY`.
        key: ApiKey,
        /// Texts of this severity (1 to 6) or above are blocked.
        threshold: u8,
    },
}

/// The variable that holds the address of the Azure resource.
pub(super) const AZURE_ENDPOINT: &str = "AZURE_CONTENT_SAFETY_ENDPOINT";
/// The variable that holds its key.
pub(super) const AZURE_KEY: &str = "AZURE_CONTENT_SAFETY_KEY";

#[derive(Clone, Copy, PartialEq)]
enum Choice {
    Auto,
    Simulated,
    Azure,
}

/// `SAFE_CHECK`, and how texts are checked where it is on or some deployment has them checked. The
/// outer `None` is a fault, which is reported.
pub(super) fn read(
    reader: &mut Reader<'_>,
    by_deployments: bool,
) -> Option<(bool, Option<SafetyConfig>)> {
    let on = reader.value(&keys::SAFE_CHECK, value::flag);
    let choice = reader.value(&keys::SAFETY_BACKEND, |value| match value.as_str() {
        Some("auto") => Ok(Choice::Auto),
        Some("simulated") => Ok(Choice::Simulated),
        Some("azure") => Ok(Choice::Azure),
        _ => Err(Fault {
            found: value::shown(value),
        }),
    });
    let delay_ms = reader.value(&keys::SAFETY_DELAY_MS, value::delay_ms);
    let threshold = reader.value(&keys::SAFETY_SEVERITY, |value| value::whole(value, 1, 6));
    if on == Some(false) && !by_deployments {
        return Some((false, None));
    }
    let (choice, delay_ms, threshold) = (choice?, delay_ms?, threshold?);
    let backend = match chosen(reader, choice) {
        Choice::Azure => {
            let (endpoint, key) = (azure_endpoint(reader), azure_key(reader));
            SafetyBackend::Azure {
                endpoint: endpoint?,
                key: key?,
                threshold: u8::try_from(threshold).ok()?,
            }
        }
        _ => SafetyBackend::Simulated { delay_ms },
    };
    on.map(|on| (on, Some(SafetyConfig { backend })))
}

/// `auto` is Azure as soon as one of its variables is set: with the other one forgotten, a
/// simulated check would pass for a real one.
fn chosen(reader: &Reader<'_>, choice: Choice) -> Choice {
    let meant = || {
        [AZURE_ENDPOINT, AZURE_KEY]
            .iter()
            .any(|name| reader.env(name).is_some())
    };
    if choice == Choice::Auto && meant() {
        Choice::Azure
    } else {
        choice
    }
}

fn azure_endpoint(reader: &mut Reader<'_>) -> Option<Url> {
    let text = reader.env(AZURE_ENDPOINT);
    let found = match text.as_deref().map(str::trim) {
        None => "nothing".to_owned(),
        Some(text) => match Url::parse(text) {
            Ok(url) if is_service_address(&url) => return Some(url),
            _ => without_secrets(text),
        },
    };
    reader.report(Problem {
        origin: Origin::Variable(AZURE_ENDPOINT.to_owned()),
        key: AZURE_ENDPOINT.to_owned(),
        found,
        expected: "the https:// address of the Content Safety resource".to_owned(),
        mend: azure_mend(
            AZURE_ENDPOINT,
            "https://<resource>.cognitiveservices.azure.com",
        ),
    });
    None
}

/// The key travels in a header, so plain HTTP is for this machine only.
fn is_service_address(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        None => false,
    };
    let plain = url.username().is_empty() && url.password().is_none();
    plain && (url.scheme() == "https" || url.scheme() == "http" && local)
}

fn azure_key(reader: &mut Reader<'_>) -> Option<ApiKey> {
    let found = match reader.env(AZURE_KEY).map(|text| ApiKey::new(&text)) {
        Some(Ok(key)) => return Some(key),
        Some(Err(error)) => format!("a value that cannot be a key ({error})"),
        None => "nothing".to_owned(),
    };
    reader.report(Problem {
        origin: Origin::Variable(AZURE_KEY.to_owned()),
        key: AZURE_KEY.to_owned(),
        found,
        expected: "the key of the Content Safety resource".to_owned(),
        mend: azure_mend(AZURE_KEY, "<key>"),
    });
    None
}

fn azure_mend(variable: &str, example: &str) -> String {
    format!(
        "Set {variable}={example}, or write \"SAFETY_BACKEND\": \"simulated\" for a simulated check."
    )
}
