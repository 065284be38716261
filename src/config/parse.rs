//! Parses text and environment to a [`Settings`].

use std::env::{var_os, vars_os};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::api_key::ApiKey;
use super::deployment::{Deployment, ServerSource};
use super::draft::Draft;
use super::error::{ConfigError, Problem};
use super::names::PREFIX;
use super::overrides::Config;
use super::reader::SettingsReader;
use super::settings::{ConfigSource, Settings};
use super::template::Blank;
use super::{BUILT_IN, ab, azure, env, keys};

/// Default path of the configuration, from the current directory.
const USUAL_FILE: &str = "fixtures/parameters.json";
/// The variable that names another file.
const FILE_VARIABLE: &str = "SERVEMARK_CONFIG";
/// The variable that holds the bearer token.
const KEY_VARIABLE: &str = "OPENAI_API_KEY";

impl Settings {
    /// Reads the configuration of this process, where `overrides` wins over the environment, and this over the file.
    ///
    /// The file is the one that `SERVEMARK_CONFIG` names, else `fixtures/parameters.json` under the
    /// current directory, else the built-in settings.
    ///
    /// # Errors
    /// Those of [`Settings::from_parts`]; also a file that cannot be read, and a variable that looks like a misspelt
    /// `SERVEMARK_<KEY>` or is not UTF-8.
    pub fn load(overrides: &Config) -> Result<Settings, ConfigError> {
        let (source, text) = find_file(var_os(FILE_VARIABLE), Path::new(USUAL_FILE))?;
        let mut names = Vec::new();
        let mut unreadable = Vec::new();
        for (name, text) in vars_os() {
            let Some(name) = name.to_str().map(str::to_owned) else {
                continue;
            };
            let ours = name.starts_with(PREFIX) || name == KEY_VARIABLE;
            if ours && text.to_str().is_none() && name != FILE_VARIABLE {
                unreadable.push(not_utf8(&name));
            }
            names.push(name);
        }
        names.sort_unstable();
        let mut problems = env::misspelt(names.iter().map(String::as_str));
        problems.extend(unreadable);
        let env = |name: &str| std::env::var(name).ok();
        match parse(source, &text, &env, overrides) {
            Err(ConfigError::Invalid { problems: more }) => problems.extend(more),
            Ok(config) if problems.is_empty() => return Ok(config),
            Ok(_) => {}
            Err(other) => return Err(other),
        }
        Err(ConfigError::Invalid { problems })
    }

    /// Parses the text of a `parameters.json`, with `env` to look up environment variables.
    ///
    /// A variable `SERVEMARK_<KEY>` overrides the file. It is parsed as JSON if that gives a valid value, else as plain
    /// text, and lists also as items between commas. An empty variable means the key's default. Relative paths in the
    /// file start from the file's directory, in a variable from the current directory.
    ///
    /// # Errors
    /// Text that is not a JSON object, unknown keys and invalid values. All unknown keys and invalid values are reported
    /// together. No secret is part of an error.
    pub fn from_parts(
        source: ConfigSource,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Settings, ConfigError> {
        parse(source, text, env, &Config::new())
    }
}

pub(super) fn parse(
    source: ConfigSource,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    overrides: &Config,
) -> Result<Settings, ConfigError> {
    let mut reader = SettingsReader::new(&source, text, env, overrides)?;
    let mut draft = Draft::new(source.clone());
    reader.read_all(&mut draft);
    let config = complete(&mut reader, draft);
    reader.finish(config)
}

/// Completes a draft by what depends on several keys or on other variables. Problems are reported.
fn complete(reader: &mut SettingsReader<'_>, draft: Draft) -> Settings {
    let Draft {
        mut config, safety, ..
    } = draft;
    if config.model_path.is_none() && !reader.is_invalid(&keys::MODEL_PATH) {
        check_models(reader, &config.deployments);
    }
    let by_deployments = config
        .deployments
        .iter()
        .any(|deployment| deployment.safe_check == Some(true));
    if safety.on || by_deployments {
        let checked = azure::resolve(reader, &safety);
        config.safety = checked.clone().filter(|_| safety.on);
        config.deployment_safety = checked.filter(|_| by_deployments);
    }
    config.input_file = config
        .input_file
        .or_else(|| questions_beside(&config.source));
    config.ab = ab::read(reader);
    config.api_key = api_key(reader);
    config
}

/// Reports a deployment whose command names `{model}`, where `MODEL_PATH` is not set.
fn check_models(reader: &mut SettingsReader<'_>, deployments: &[Deployment]) {
    let uses_model = |deployment: &Deployment| match &deployment.servers {
        ServerSource::Launched(launch) => launch.uses(Blank::Model),
        ServerSource::Listed(_) => false,
    };
    if let Some(at) = deployments.iter().position(uses_model) {
        let (number, name) = (at + 1, &deployments[at].name);
        reader.report_value(
            &keys::DEPLOYMENTS,
            format!("in entry {number}, {name}: {{model}}, but MODEL_PATH is not set"),
        );
    }
}

/// `input.jsonl` in the directory of the configuration file, if there is one.
fn questions_beside(source: &ConfigSource) -> Option<PathBuf> {
    let path = source.directory()?.join("input.jsonl");
    path.is_file().then_some(path)
}

/// The bearer token. A value that cannot be one is reported.
fn api_key(reader: &mut SettingsReader<'_>) -> Option<ApiKey> {
    let problem = |found: String| {
        Problem::of_variable(
            KEY_VARIABLE,
            found,
            "the key alone, without \"Bearer\" or quotes",
            format!("For example: {KEY_VARIABLE}=sk-..."),
        )
    };
    let key = reader.api_key(KEY_VARIABLE)?;
    key.map_err(|found| reader.report(problem(found))).ok()
}

fn not_utf8(name: &str) -> Problem {
    Problem::of_variable(
        name,
        "bytes that are not UTF-8",
        "text",
        "Set it again, or unset it.",
    )
}

/// Finds the file to use, and reads it.
fn find_file(named: Option<OsString>, usual: &Path) -> Result<(ConfigSource, String), ConfigError> {
    let named = named.filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = named.clone().unwrap_or_else(|| usual.to_owned());
    match std::fs::read(&path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok((ConfigSource::File(path), text)),
            Err(_) => Err(ConfigError::Read {
                path,
                error: io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"),
                hint: "Save it as UTF-8.",
            }),
        },
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
            Ok((ConfigSource::BuiltIn, BUILT_IN.to_owned()))
        }
        Err(error) => Err(ConfigError::Read {
            path,
            error,
            hint: match named {
                Some(_) => {
                    "Set the environment variable SERVEMARK_CONFIG to a readable parameters.json, or unset it."
                }
                None => "Make it readable, or name another file in SERVEMARK_CONFIG.",
            },
        }),
    }
}

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod tests;
