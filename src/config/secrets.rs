//! The secrets of a configuration, which must never be shown.

use url::Url;

use super::deployment::{Deployment, ServerSource};
use super::safety::SafetyBackend;
use super::settings::Settings;
use super::template::Template;
use crate::redact::{Secrets, is_secret_name};

impl Settings {
    /// Collects keys, header values that may be secret, query values of addresses, and keys in the commands of deployments.
    pub(crate) fn secrets(&self) -> Secrets {
        let mut found = Secrets::default();
        if let Some(key) = &self.api_key {
            found.add_key(key.expose());
        }
        for value in self.model_headers.values() {
            if let (true, Ok(value)) = (value.is_sensitive(), value.to_str()) {
                found.add(value);
                if let Some((scheme, credentials)) = value.trim().split_once(' ')
                    && scheme.eq_ignore_ascii_case("basic")
                {
                    found.add_basic(credentials);
                }
                // Splits a scheme from its token, and a cookie into its members.
                let parts = value.split([' ', ';', ',', '=']);
                parts.for_each(|part| found.add(part));
            }
        }
        for safety in self.safety.iter().chain(&self.deployment_safety) {
            if let SafetyBackend::Azure { key, .. } = &safety.backend {
                found.add_key(key.expose());
            }
        }
        for url in self.endpoints() {
            add_address(&mut found, &url.given);
        }
        for deployment in &self.deployments {
            deployment.add_secrets(&mut found);
        }
        found
    }
}

impl Deployment {
    /// Adds the query values of its addresses, or the keys in its command and its variables.
    pub(crate) fn add_secrets(&self, found: &mut Secrets) {
        let launch = match &self.servers {
            ServerSource::Listed(urls) => {
                return urls.iter().for_each(|url| add_address(found, &url.given));
            }
            ServerSource::Launched(launch) => launch,
        };
        let mut words = launch.command.iter().filter_map(Template::plain).peekable();
        while let Some(word) = words.next() {
            if let Some((name, value)) = word.split_once('=') {
                if is_secret_name(name) {
                    found.add_key(value);
                }
            } else if word.starts_with('-') && is_secret_name(word) {
                // An option may have several values: `--api-key a b`.
                while let Some(value) = words.next_if(|word| !word.starts_with('-')) {
                    found.add_key(value);
                }
            }
        }
        for (name, value) in &launch.env {
            if let (true, Some(value)) = (is_secret_name(name), value.plain()) {
                found.add_key(value);
            }
        }
    }
}

fn add_address(found: &mut Secrets, url: &Url) {
    for (name, value) in url.query_pairs().filter(|(name, _)| name != "api-version") {
        match is_secret_name(&name) {
            true => found.add_key(&value),
            false => found.add(&value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigSource;
    use crate::redact;

    #[test]
    fn every_secret_of_a_configuration_is_known() {
        let file = r#"{
            "MODEL_HEADERS": {"X-Tenant": "tenant-77-secret", "Cookie": "sid=cook1e-s3cret; theme=dark",
                "Authorization": "Basic YWxpY2UtNzc6aHVudGVyMi1zM2NyZXQ="},
            "MODEL_ENDPOINTS": ["http://h:1/v1?key=que%2Fry-s3cret&api-version=2024-06-01"],
            "DEPLOYMENTS": [{"name": "d", "replicas": 1,
                "command": ["serve", "--api-key", "cmd-s3cret-1", "cmd-s3cret-2", "--port={port}", "--hf-token=cmd-s3cret-3"],
                "env": {"MY_TOKEN": "env-s3cret"}}]
        }"#;
        let key = |name: &str| (name == "OPENAI_API_KEY").then(|| "sk-config-4711".to_owned());
        let config = Settings::from_parts(ConfigSource::BuiltIn, file, &key).unwrap();
        redact::learn(config.secrets());
        for secret in [
            "sk-config-4711",
            "tenant-77-secret",
            "cook1e-s3cret",
            "que/ry-s3cret",
            "que%2Fry-s3cret",
            "cmd-s3cret-1",
            "cmd-s3cret-2",
            "cmd-s3cret-3",
            "env-s3cret",
            "hunter2-s3cret",
            "alice-77:hunter2-s3cret",
            "YWxpY2UtNzc6aHVudGVyMi1zM2NyZXQ=",
        ] {
            let text = format!("your key {secret} is wrong");
            assert_eq!(
                redact::hide(&text),
                "your key <hidden> is wrong",
                "{secret}"
            );
        }
        let open = "the dark 2024-06-01 sid stays";
        assert_eq!(redact::hide(open), open);
    }
}
