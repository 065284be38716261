use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::endpoint::Identity;
use crate::results::file_name::{LONGEST_NAME, UNSAFE_IN_FILES};

/// Name of a baseline, valid for Criterion's `--baseline` and as a file name; or of the latest run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaselineName(String);

/// Name of the latest run, for Criterion and servemark.
const LATEST: &str = "new";

/// Names that Criterion uses itself.
const RESERVED: [&str; 4] = [LATEST, "base", "change", "report"];

/// A text that is not a valid name of a baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a valid name of a baseline: {problem}")]
pub struct NameError {
    name: String,
    problem: String,
}

/// The servers' versions give no name for a baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoName {
    /// A server reports no version.
    #[error("the servers report no version: give a name")]
    Unknown,
    /// They report different versions.
    #[error("the run has several server versions ({0}): give a name")]
    Several(String),
}

impl BaselineName {
    /// The latest run, `new`: the next run overwrites it, but it can be read like a baseline.
    pub fn latest() -> BaselineName {
        BaselineName(LATEST.to_owned())
    }

    /// Parses the name of a baseline, or `new`.
    ///
    /// # Errors
    /// [`NameError`], which says why the name is not valid.
    pub fn or_latest(text: &str) -> Result<BaselineName, NameError> {
        match text {
            LATEST => Ok(BaselineName::latest()),
            _ => text.parse(),
        }
    }

    /// A name from the servers' version: `vllm-0.32.0`.
    ///
    /// # Errors
    /// [`NoName`] if a server reports no version, or they differ.
    pub fn of_servers<'a>(
        servers: impl IntoIterator<Item = &'a Identity>,
    ) -> Result<BaselineName, NoName> {
        let versions = servers.into_iter().map(|server| server.server.as_deref());
        let versions: Option<BTreeSet<&str>> = versions.collect();
        let versions = Vec::from_iter(versions.ok_or(NoName::Unknown)?);
        match versions.as_slice() {
            // Without a version every run would have the same name.
            [version] if version.contains(' ') => named_after(version).ok_or(NoName::Unknown),
            [] | [_] => Err(NoName::Unknown),
            several => Err(NoName::Several(several.join(", "))),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names the latest run.
    pub fn is_latest(&self) -> bool {
        self.0 == LATEST
    }
}

fn named_after(version: &str) -> Option<BaselineName> {
    let (software, version) = version.split_once(' ')?;
    let plain = |c: char| match c.is_ascii_alphanumeric() || ".+-_".contains(c) {
        true => c,
        false => '_',
    };
    let name = format!("{}-{version}", software.to_lowercase());
    let name: String = name.chars().map(plain).take(LONGEST_NAME).collect();
    name.parse().ok()
}

impl FromStr for BaselineName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<BaselineName, NameError> {
        let unsafe_character = name
            .chars()
            .find(|c| UNSAFE_IN_FILES.contains(c) || *c == ',' || c.is_control());
        let problem = if name.is_empty() {
            "it is empty".to_owned()
        } else if RESERVED.contains(&name) {
            let names = RESERVED.join(", ");
            format!("Criterion uses the names {names} itself; take a version, like vllm-0.32.0")
        } else if name.len() > LONGEST_NAME {
            format!("it has more than {LONGEST_NAME} bytes")
        } else if name.starts_with(['.', '-']) {
            "it starts with a dot or a dash".to_owned()
        } else if name.trim() != name {
            "it starts or ends with a space".to_owned()
        } else if let Some(c) = unsafe_character {
            format!("{c:?} is not valid in a file name")
        } else if name.ends_with(".json") || name.contains(".rank-") {
            "such names are reserved for other records".to_owned()
        } else {
            return Ok(BaselineName(name.to_owned()));
        };
        Err(NameError {
            name: name.to_owned(),
            problem,
        })
    }
}

impl fmt::Display for BaselineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(version: Option<&str>) -> Identity {
        Identity {
            url: "http://a:8000/".to_owned(),
            server: version.map(str::to_owned),
            is_vllm: true,
            model: None,
            max_model_len: None,
            process_start: None,
            simulated: None,
            missing: Vec::new(),
        }
    }

    #[test]
    fn invalid_names_are_rejected_with_the_reason() {
        for (name, words) in [
            ("", "empty"),
            ("a/b", "'/'"),
            ("a\\b", "'\\\\'"),
            ("../up", "starts with a dot"),
            (".hidden", "starts with a dot"),
            ("-b", "a dash"),
            ("a,b", "','"),
            ("a\nb", "'\\n'"),
            (" a", "a space"),
            ("new", "Criterion uses"),
            ("base", "Criterion uses"),
            ("change", "Criterion uses"),
            ("report", "Criterion uses"),
            ("v1.rank-2-of-4", "reserved for other records"),
            ("v1.json", "reserved for other records"),
            (&"x".repeat(65), "64 bytes"),
        ] {
            let error = name
                .parse::<BaselineName>()
                .expect_err("refused")
                .to_string();
            assert!(error.contains(words), "{name:?}: {error}");
        }
        for name in ["vllm-0.32.0+cpu", "v1", "main before", &"x".repeat(64)] {
            assert_eq!(name.parse::<BaselineName>().expect("a name").as_str(), name);
        }
        assert!(
            BaselineName::or_latest("new")
                .expect("the latest")
                .is_latest()
        );
        assert!(BaselineName::or_latest("base").is_err());
    }

    #[test]
    fn a_name_is_offered_after_the_one_version_of_all_servers() {
        let offered = |versions: &[Option<&str>]| {
            let servers: Vec<Identity> = versions.iter().map(|v| server(*v)).collect();
            BaselineName::of_servers(&servers).map(|name| name.0)
        };
        let same = [Some("vLLM 0.32.0"), Some("vLLM 0.32.0")];
        assert_eq!(offered(&same), Ok("vllm-0.32.0".to_owned()));
        let local = [Some("vLLM 0.33.0rc1+g1/b")];
        assert_eq!(offered(&local), Ok("vllm-0.33.0rc1+g1_b".to_owned()));
        assert_eq!(offered(&[Some("vLLM")]), Err(NoName::Unknown));
        assert_eq!(offered(&[Some("vLLM 1"), None]), Err(NoName::Unknown));
        assert_eq!(offered(&[]), Err(NoName::Unknown));
        let differing = offered(&[Some("vLLM 0.32.0"), Some("vLLM 0.31.0")]);
        let error = differing.expect_err("two").to_string();
        assert!(error.contains("vLLM 0.31.0, vLLM 0.32.0"), "{error}");
    }
}
