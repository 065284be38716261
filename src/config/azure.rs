//! Selects the service that checks texts, and reads its address and key from the environment.

use std::net::IpAddr;

use url::{Host, Url};

use super::api_key::ApiKey;
use super::error::Problem;
use super::reader::SettingsReader;
use super::safety::{BackendChoice, SafetyBackend, SafetyConfig, SafetyKeys};
use super::value::without_secrets;

/// The variable that holds the address of the Azure resource.
const ENDPOINT: &str = "AZURE_CONTENT_SAFETY_ENDPOINT";
/// The variable that holds its key.
const KEY: &str = "AZURE_CONTENT_SAFETY_KEY";

/// The check that the keys describe. `None` for a problem, which is reported.
pub(super) fn resolve(reader: &mut SettingsReader<'_>, keys: &SafetyKeys) -> Option<SafetyConfig> {
    let backend = match is_azure(reader, keys.backend) {
        true => {
            let (endpoint, key) = (endpoint(reader), key(reader));
            SafetyBackend::Azure {
                endpoint: endpoint?,
                key: key?,
                threshold: keys.severity,
            }
        }
        false => SafetyBackend::Simulated {
            delay_ms: keys.delay_ms,
        },
    };
    Some(SafetyConfig { backend })
}

/// `auto` is Azure if one of its variables is set. If the other is missing, that is an error: a simulated check could be
/// mistaken for a real one.
fn is_azure(reader: &SettingsReader<'_>, choice: BackendChoice) -> bool {
    match choice {
        BackendChoice::Azure => true,
        BackendChoice::Simulated => false,
        BackendChoice::Auto => [ENDPOINT, KEY]
            .iter()
            .any(|name| reader.env(name).is_some()),
    }
}

fn endpoint(reader: &mut SettingsReader<'_>) -> Option<Url> {
    let text = reader.env(ENDPOINT);
    let found = match text.as_deref().map(str::trim) {
        None => "nothing".to_owned(),
        Some(text) => match Url::parse(text) {
            Ok(url) if is_service_address(&url) => return Some(url),
            _ => without_secrets(text),
        },
    };
    reader.report(Problem::of_variable(
        ENDPOINT,
        found,
        "the https:// address of the Content Safety resource",
        hint(ENDPOINT, "https://<resource>.cognitiveservices.azure.com"),
    ));
    None
}

/// The key is sent in a header, so plain HTTP is allowed on this machine only.
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

fn key(reader: &mut SettingsReader<'_>) -> Option<ApiKey> {
    let found = match reader.api_key(KEY) {
        Some(Ok(key)) => return Some(key),
        Some(Err(found)) => found,
        None => "nothing".to_owned(),
    };
    reader.report(Problem::of_variable(
        KEY,
        found,
        "the key of the Content Safety resource",
        hint(KEY, "<key>"),
    ));
    None
}

fn hint(variable: &str, example: &str) -> String {
    format!(
        "Set {variable}={example}, or write \"SAFETY_BACKEND\": \"simulated\" for a simulated check."
    )
}
