//! Keys that a program or the options of a command set.

use std::fmt;

use serde_json::Value;

use super::keys::Key;

/// Settings that override the environment and the configuration file, key by key.
///
/// Keys and values are those of `parameters.json`; `docs/parameters.md` describes them. They are checked when the
/// run starts, together with the file's and the environment's: an unknown key or an invalid value ends it with a
/// message that says what is expected. Relative paths start from the current directory, and `null` means the key's
/// default. API keys come from the environment only.
///
/// ```
/// use servemark::Config;
///
/// let config = Config::new()
///     .set("MODEL_ENDPOINTS", ["http://localhost:8000", "http://localhost:8001"])
///     .set("CONCURRENT_LEVELS", [1, 8, 64])
///     .set("STREAM", true);
/// ```
#[derive(Clone, Default)]
pub struct Config {
    options: Vec<Flag>,
    program: Vec<(String, Value)>,
}

impl Config {
    /// Overrides nothing.
    pub fn new() -> Config {
        Config::default()
    }

    /// Sets a key; a second value of the same key replaces the first.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<Value>) -> Config {
        let key = key.into();
        self.program.retain(|(name, _)| *name != key);
        self.program.push((key, value.into()));
        self
    }

    /// What the options of a command set.
    #[cfg(feature = "cli")]
    pub(crate) fn of_options(options: Vec<Flag>) -> Config {
        Config {
            options,
            program: Vec::new(),
        }
    }

    /// What overrides `key`, if anything does.
    pub(super) fn of(&self, key: &Key) -> Option<Override<'_>> {
        let option = self.options.iter().find(|flag| flag.key.name == key.name);
        let program = || self.program.iter().find(|(name, _)| name == key.name);
        match option {
            Some(flag) => Some(Override::Option(flag)),
            None => program().map(|(_, value)| Override::Program(value)),
        }
    }

    /// The names that the program has set, known or not.
    pub(super) fn program_keys(&self) -> impl Iterator<Item = &str> {
        self.program.iter().map(|(name, _)| name.as_str())
    }
}

/// Shows the keys without their values, which may be secret.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.options.iter().map(|flag| flag.key.name);
        f.debug_set()
            .entries(options.chain(self.program_keys()))
            .finish()
    }
}

/// The value of a key that overrides the environment and the file.
pub(super) enum Override<'a> {
    /// An option of the command, in the syntax of the key's variable.
    Option(&'a Flag),
    /// A value that the program has set.
    Program(&'a Value),
}

/// The value of a key from an option of a command.
///
/// Not `Debug`, as an address may hold a key.
#[derive(Clone)]
pub(crate) struct Flag {
    /// The key.
    pub key: &'static Key,
    /// The option's name (`--concurrency`), for messages.
    pub option: &'static str,
    /// A valid value of the option, for messages.
    pub example: &'static str,
    /// The value, in the syntax of the key's variable.
    pub value: String,
}

#[cfg(feature = "cli")]
impl Flag {
    /// The flags of those options that were given: of each its key, name, an example, and the value.
    pub fn given<'v>(
        options: impl IntoIterator<
            Item = (&'static Key, &'static str, &'static str, &'v Option<String>),
        >,
    ) -> Vec<Flag> {
        let flag = |(key, option, example, value): (_, _, _, &Option<String>)| {
            let value = value.clone()?;
            Some(Flag {
                key,
                option,
                example,
                value,
            })
        };
        options.into_iter().filter_map(flag).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::parse;
    use crate::config::{ConfigSource, Settings};

    /// Loads these settings over a variable and a file that set `MAX_NEW_TOKENS` to 3 and 2.
    fn load(config: Config) -> Result<Settings, String> {
        let env = |name: &str| (name == "SERVEMARK_MAX_NEW_TOKENS").then(|| "3".to_owned());
        let file = r#"{"MAX_NEW_TOKENS": 2, "CONCURRENT_LEVELS": [5]}"#;
        parse(ConfigSource::BuiltIn, file, &env, &config).map_err(|error| error.to_string())
    }

    #[test]
    fn the_program_wins_over_the_environment_and_this_over_the_file() {
        let settings = load(
            Config::new()
                .set("MAX_NEW_TOKENS", 9)
                .set("MAX_NEW_TOKENS", 4),
        );
        assert_eq!(settings.unwrap().max_new_tokens.get(), 4);
        let settings = load(Config::new()).unwrap();
        assert_eq!(settings.max_new_tokens.get(), 3);
        let settings = load(Config::new().set("CONCURRENT_LEVELS", Value::Null)).unwrap();
        let levels = settings.concurrent_levels.iter().map(|level| level.get());
        assert_eq!(Vec::from_iter(levels), [1, 8, 32], "null is the default");
    }

    #[test]
    fn unknown_keys_and_invalid_values_are_reported_together() {
        let config = Config::new()
            .set("CONCURENT_LEVELS", [1])
            .set("TOP_P", 2.0)
            .set("OPENAI_API_KEY", "sk-secret");
        let error = load(config).expect_err("three problems");
        for expected in [
            "the program, key CONCURENT_LEVELS: found an unknown key; expected the key CONCURRENT_LEVELS",
            "the program, key TOP_P: found 2",
            "the program, key OPENAI_API_KEY: found an unknown key; expected no secrets",
        ] {
            assert!(error.contains(expected), "{expected}: {error}");
        }
        assert!(!error.contains("sk-secret"), "{error}");
    }

    #[test]
    fn a_config_shows_its_keys_without_the_values() {
        let config = Config::new().set("MODEL_HEADERS", Value::from("secret"));
        assert_eq!(format!("{config:?}"), r#"{"MODEL_HEADERS"}"#);
    }
}
