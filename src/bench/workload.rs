use std::num::NonZeroUsize;
use std::sync::Arc;

use super::supply::Supply;
use crate::config::{Api, Config};
use crate::fixture::Fixture;
use crate::prompt::{PromptError, PromptSource, Questions, QuestionsError};

/// What is asked of the endpoints, and through which API.
#[derive(Clone, Debug)]
pub struct Workload(Kind);

#[derive(Clone, Debug)]
enum Kind {
    InputFile,
    Questions(Vec<(String, String)>),
    Random(Option<NonZeroUsize>),
}

/// The workload gives nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The questions cannot be read.
    #[error(transparent)]
    Questions(#[from] QuestionsError),
    /// There is no prompt.
    #[error("the workload has no prompt: give Workload::questions at least one question")]
    Empty,
}

/// One prompt of a workload: a part of the benchmark ids of its own.
#[derive(Clone, Debug)]
pub(super) struct NamedPrompt {
    /// `1k`, `random-1000`.
    pub key: String,
    pub kind: PromptKind,
    /// What the requests of its points are given, once it is prepared.
    pub supply: Supply,
}

#[derive(Clone, Debug)]
pub(super) enum PromptKind {
    Question(String),
    Random(NonZeroUsize),
}

impl PromptKind {
    /// Questions go to chat models, random tokens to pretrained ones.
    pub fn api(&self) -> Api {
        match self {
            PromptKind::Question(_) => Api::ChatCompletions,
            PromptKind::Random(_) => Api::Completions,
        }
    }
}

impl NamedPrompt {
    /// The series of requests' prompts, or why there is none; made when it is first asked for.
    pub fn source(&self, fixture: &Fixture, config: &Config) -> Result<Arc<PromptSource>, String> {
        self.supply.source(|| {
            let source = self
                .make(fixture, config)
                .map_err(|error| error.to_string())?;
            if let Some(warning) = source.warning() {
                eprintln!("warning: prompt {}: {warning}", self.key);
            }
            Ok(source)
        })
    }

    fn make(&self, fixture: &Fixture, config: &Config) -> Result<PromptSource, PromptError> {
        let (policy, seed, counter) = (config.prefix_cache, fixture.seed, &fixture.counter);
        match &self.kind {
            PromptKind::Question(text) => PromptSource::chat(text, policy, seed, counter),
            PromptKind::Random(length) => PromptSource::random(*length, policy, seed, counter),
        }
    }
}

impl Workload {
    /// The questions of `INPUT_FILE` (shipped ones by default) through chat completions.
    pub fn chat() -> Workload {
        Workload(Kind::InputFile)
    }

    /// Questions of your own, each with its key, through chat completions.
    pub fn questions<K: Into<String>, Q: Into<String>>(
        questions: impl IntoIterator<Item = (K, Q)>,
    ) -> Workload {
        let questions = questions.into_iter().map(|(k, q)| (k.into(), q.into()));
        Workload(Kind::Questions(questions.collect()))
    }

    /// Random-token prompts of `RANDOM_PROMPT_LENGTH` tokens through completions, for pretrained models.
    pub fn random_tokens() -> Workload {
        Workload(Kind::Random(None))
    }

    /// Random-token prompts of `length` tokens, whatever `RANDOM_PROMPT_LENGTH` says.
    pub fn random_tokens_of(length: NonZeroUsize) -> Workload {
        Workload(Kind::Random(Some(length)))
    }

    /// The prompts in the order in which they run.
    pub(super) fn prompts(&self, config: &Config) -> Result<Vec<NamedPrompt>, WorkloadError> {
        let prompts = match &self.0 {
            Kind::InputFile => from_input_file(config)?,
            Kind::Questions(questions) => questions
                .iter()
                .map(|(key, text)| question(key, text))
                .collect(),
            Kind::Random(length) => {
                let length = length.unwrap_or(config.random_prompt_length);
                vec![NamedPrompt {
                    key: format!("random-{length}"),
                    kind: PromptKind::Random(length),
                    supply: Supply::default(),
                }]
            }
        };
        match prompts.is_empty() {
            true => Err(WorkloadError::Empty),
            false => Ok(prompts),
        }
    }
}

fn question(key: &str, text: &str) -> NamedPrompt {
    NamedPrompt {
        key: key.to_owned(),
        kind: PromptKind::Question(text.to_owned()),
        supply: Supply::default(),
    }
}

fn from_input_file(config: &Config) -> Result<Vec<NamedPrompt>, QuestionsError> {
    let questions = match &config.input_file {
        Some(path) => Questions::from_file(path)?,
        None => Questions::built_in()?,
    };
    let chosen = match &config.prompt_keys {
        Some(keys) => questions.select(keys)?,
        None => questions.all().iter().collect(),
    };
    Ok(chosen.iter().map(|q| question(&q.key, &q.text)).collect())
}
