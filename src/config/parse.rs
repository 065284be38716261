//! From text and environment to a [`Config`].

use std::env::{var_os, vars_os};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Origin, Problem};
use super::reader::Reader;
use super::{
    ApiKey, BUILT_IN, Config, ConfigSource, Deployment, Flag, Precision, ab, deployment, env,
    flags, keys, safety, sampling, slo, value,
};

/// Where a configuration is looked for, from the current directory.
const USUAL_FILE: &str = "fixtures/parameters.json";
/// The variable that names another file.
const FILE_VARIABLE: &str = "SERVEMARK_CONFIG";
/// The variable that holds the bearer token.
const KEY_VARIABLE: &str = "OPENAI_API_KEY";

impl Config {
    /// Reads the configuration of this process: [`Config::load_with`] no flags.
    ///
    /// # Errors
    /// Those of [`Config::load_with`].
    pub fn load() -> Result<Config, ConfigError> {
        Config::load_with(&[])
    }

    /// Reads the configuration of this process, with the keys that its command line gives.
    ///
    /// The file is the one named by `SERVEMARK_CONFIG`, else `fixtures/parameters.json` under the
    /// current directory, else the built-in settings.
    ///
    /// # Errors
    /// See [`Config::from_parts`]; also a file that cannot be read, a variable that looks like a
    /// misspelt `SERVEMARK_<KEY>`, or one of these that is not UTF-8.
    pub fn load_with(flags: &[Flag]) -> Result<Config, ConfigError> {
        let (source, text) = find_file(var_os(FILE_VARIABLE), Path::new(USUAL_FILE))?;
        let mut names = Vec::new();
        let mut unreadable = Vec::new();
        for (name, text) in vars_os() {
            let Some(name) = name.to_str().map(str::to_owned) else {
                continue;
            };
            let ours = name.starts_with(keys::PREFIX) || name == KEY_VARIABLE;
            if ours && text.to_str().is_none() && name != FILE_VARIABLE {
                unreadable.push(not_utf8(&name));
            }
            names.push(name);
        }
        names.sort_unstable();
        let mut problems = env::misspelt(names.iter().map(String::as_str));
        problems.extend(unreadable);
        let given = |name: &str| {
            let flag = flags.iter().find(|flag| flag.key.variable() == name);
            let value = flag.map(|flag| flag.value.clone());
            value.or_else(|| std::env::var(name).ok())
        };
        let config = Config::from_parts(source, &text, &given);
        match config.map_err(|error| flags::blame(flags, error)) {
            Err(ConfigError::Invalid { problems: more }) => problems.extend(more),
            Ok(config) if problems.is_empty() => return Ok(config),
            Ok(_) => {}
            Err(other) => return Err(other),
        }
        Err(ConfigError::Invalid { problems })
    }

    /// Parses the text of a `parameters.json`, with `env` to look up environment variables.
    ///
    /// A variable `SERVEMARK_<KEY>` wins over the file. It is read as JSON where that gives a
    /// right value, else as plain text, lists also with commas between the items; an empty
    /// variable stands for the key's default. Relative paths in the file start from the file's
    /// directory, in a variable from the current directory.
    ///
    /// # Errors
    /// Text that is no JSON object, unknown keys and wrong values; the latter two are reported
    /// all together. No secret is part of an error.
    pub fn from_parts(
        source: ConfigSource,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let mut reader = Reader::new(&source, text, env)?;
        let config = read(&mut reader, source.clone());
        reader.finish(config)
    }
}

/// Reads every key before it gives up, so that all faults are found at once.
fn read(reader: &mut Reader<'_>, source: ConfigSource) -> Option<Config> {
    let max_new_tokens = reader.value(&keys::MAX_NEW_TOKENS, |v| value::count_u32(v, 1_000_000));
    let concurrent_levels = reader.value(&keys::CONCURRENT_LEVELS, |v| {
        value::distinct(v, |level| value::count(level, 100_000))
    });
    let model_path = reader.optional(&keys::MODEL_PATH, value::text);
    let model_headers = reader.value(&keys::MODEL_HEADERS, value::headers);
    let deployments = deployment::read_all(reader, model_path.as_ref());
    let checked = |d: &Deployment| d.safe_check == Some(true);
    let by_deployments = deployments.iter().flatten().any(checked);
    let safety = safety::read(reader, by_deployments);
    let threshold_tps = reader.value(&keys::THRESHOLD_TPS, |v| {
        value::number(v, |rate| (0.0..=1e6).contains(&rate))
    });
    let random_prompt_length =
        reader.value(&keys::RANDOM_PROMPT_LENGTH, |v| value::count(v, 10_000_000));
    let temperature = reader.value(&keys::TEMPERATURE, |v| {
        value::number(v, |temperature| (0.0..=100.0).contains(&temperature))
    });
    let top_p = reader.value(&keys::TOP_P, |v| {
        value::number(v, |mass| mass > 0.0 && mass <= 1.0)
    });
    let model_endpoints = reader.value(&keys::MODEL_ENDPOINTS, value::endpoints);
    let balancing = reader.value(&keys::BALANCING, value::balancing);
    let tokenizer_path = reader.path(&keys::TOKENIZER_PATH);
    let num_gpu = reader.optional(&keys::NUM_GPU, |v| value::count_u32(v, 100_000));
    let input_file = reader.path(&keys::INPUT_FILE);
    let prompt_keys = reader.optional(&keys::PROMPT_KEYS, value::prompt_keys);
    let stream = reader.value(&keys::STREAM, value::flag);
    let load_shape = reader.value(&keys::LOAD_SHAPE, value::load_shape);
    let prefix_cache = reader.value(&keys::PREFIX_CACHE, value::prefix_cache);
    let fixed_output = reader.value(&keys::FIXED_OUTPUT_LENGTH, value::fixed_output);
    let extra_body = reader.value(&keys::EXTRA_BODY, value::extra_body);
    let ca_file = reader.path(&keys::CA_FILE);
    let insecure = reader.value(&keys::INSECURE, value::flag);
    let seed = reader.optional(&keys::SEED, |v| value::whole(v, 0, u64::MAX));
    let request_timeout = reader.value(&keys::REQUEST_TIMEOUT, value::seconds);
    let ready_timeout = reader.value(&keys::READY_TIMEOUT, value::seconds);
    let metrics = reader.value(&keys::METRICS, value::metrics);
    let slo = reader.value(&keys::SLO, slo::read);
    let runs = reader.value(&keys::RUNS, |v| value::count_u32(v, 100));
    let half_width = reader.optional(&keys::PRECISION, sampling::share);
    let budget = reader.value(&keys::PRECISION_BUDGET, value::seconds);
    let ab = ab::read(reader);
    let api_key = api_key(reader);
    let (half_width, budget) = (half_width?, budget?);
    let (safe_check, safety) = safety?;
    Some(Config {
        max_new_tokens: max_new_tokens?,
        concurrent_levels: concurrent_levels?,
        model_path: model_path?,
        model_headers: model_headers?,
        safety: safety.clone().filter(|_| safe_check),
        threshold_tps: threshold_tps?,
        random_prompt_length: random_prompt_length?,
        temperature: temperature?,
        top_p: top_p?,
        model_endpoints: model_endpoints?,
        balancing: balancing?,
        deployments: deployments?,
        deployment_safety: safety.filter(|_| by_deployments),
        tokenizer_path: tokenizer_path?,
        num_gpu: num_gpu?,
        input_file: input_file?.or_else(|| questions_beside(&source)),
        prompt_keys: prompt_keys?,
        stream: stream?,
        load_shape: load_shape?,
        prefix_cache: prefix_cache?,
        fixed_output: fixed_output?,
        extra_body: extra_body?,
        ca_file: ca_file?,
        insecure: insecure?,
        seed: seed?,
        request_timeout: request_timeout?,
        ready_timeout: ready_timeout?,
        metrics: metrics?,
        slo: slo?,
        runs: runs?,
        precision: half_width.map(|half_width| Precision { half_width, budget }),
        ab: ab?,
        api_key: api_key?,
        source,
    })
}

/// `input.jsonl` in the directory of the configuration file, if there is one.
fn questions_beside(source: &ConfigSource) -> Option<PathBuf> {
    let path = source.directory()?.join("input.jsonl");
    path.is_file().then_some(path)
}

/// The outer `None` is a variable that holds no key, which is reported.
fn api_key(reader: &mut Reader<'_>) -> Option<Option<ApiKey>> {
    match reader.env(KEY_VARIABLE).map(|text| ApiKey::new(&text)) {
        None => Some(None),
        Some(Ok(key)) => Some(Some(key)),
        Some(Err(error)) => {
            reader.report(Problem {
                origin: Origin::Variable(KEY_VARIABLE.to_owned()),
                key: KEY_VARIABLE.to_owned(),
                found: format!("a value that cannot be a key ({error})"),
                expected: "the key alone, without \"Bearer\" or quotes".to_owned(),
                mend: format!("For example: {KEY_VARIABLE}=sk-..."),
            });
            None
        }
    }
}

fn not_utf8(name: &str) -> Problem {
    Problem {
        origin: Origin::Variable(name.to_owned()),
        key: name.to_owned(),
        found: "bytes that are not UTF-8".to_owned(),
        expected: "text".to_owned(),
        mend: "Set it again, or unset it.".to_owned(),
    }
}

/// The file to use and its text.
fn find_file(named: Option<OsString>, usual: &Path) -> Result<(ConfigSource, String), ConfigError> {
    let named = named.filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = named.clone().unwrap_or_else(|| usual.to_owned());
    match std::fs::read(&path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok((ConfigSource::File(path), text)),
            Err(_) => Err(ConfigError::Read {
                path,
                error: io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"),
                mend: "Save it as UTF-8.",
            }),
        },
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
            Ok((ConfigSource::BuiltIn, BUILT_IN.to_owned()))
        }
        Err(error) => Err(ConfigError::Read {
            path,
            error,
            mend: match named {
                Some(_) => {
                    "Point the environment variable SERVEMARK_CONFIG to a readable parameters.json, or unset it."
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
