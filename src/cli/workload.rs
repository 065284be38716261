//! Options that say what a command sends; they override the keys of the configuration.

use std::num::NonZeroUsize;

use crate::config::{Flag, keys};
use crate::prompt::Workload;

#[derive(clap::Args)]
pub struct WorkloadOptions {
    /// Questions of the input file, by their keys [default: PROMPT_KEYS, else the question of 100 tokens]
    #[arg(long, value_name = "KEY,…", conflicts_with = "random_tokens")]
    prompt: Option<String>,
    /// Send prompts of this many random tokens to /v1/completions: for pretrained models
    #[arg(long, value_name = "N")]
    random_tokens: Option<NonZeroUsize>,
    /// Send requests of mixed lengths: a workload of WORKLOADS, or chat, rag, summarise, code, long-generation or agent
    #[arg(long, value_name = "NAME", conflicts_with_all = ["prompt", "random_tokens", "max_tokens"])]
    workload: Option<String>,
    /// Output tokens of each request [default: MAX_NEW_TOKENS, 32]
    #[arg(long, value_name = "N")]
    max_tokens: Option<String>,
    /// Repeats the prompts of a run that printed this seed [default: SEED, else drawn]
    #[arg(long, value_name = "N")]
    seed: Option<String>,
}

impl WorkloadOptions {
    /// The keys that the options set.
    pub fn flags(&self) -> Vec<Flag> {
        Flag::given([
            (&keys::PROMPT_KEYS, "--prompt", "25,1k", &self.prompt),
            (
                &keys::MAX_NEW_TOKENS,
                "--max-tokens",
                "256",
                &self.max_tokens,
            ),
            (&keys::SEED, "--seed", "42", &self.seed),
        ])
    }

    /// The workload that they choose.
    pub fn workload(&self) -> Workload {
        match (&self.workload, self.random_tokens) {
            (Some(name), _) => Workload::named(name),
            (None, Some(tokens)) => Workload::random_tokens_of(tokens),
            (None, None) => Workload::chat(),
        }
    }
}
