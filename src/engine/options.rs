//! Options of an engine.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use tokenizers::Tokenizer;

use super::EngineError;
use super::faults::Faults;
use super::noise::Noise;
use super::parameters::first_invalid;
use super::preset::Preset;
use super::step_time::Slowdown;

/// What to do where prompt and `max_tokens` together exceed `max_model_len`.
/// A prompt that fills the context alone is refused either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContextOverflow {
    /// Answer 400, as earlier vLLM did.
    #[default]
    Reject,
    /// Generate as many tokens as fit, as vLLM 0.32 does.
    Clamp,
}

/// Options of an [`Engine`](super::Engine). Build them with [`EngineOptions::new`] and struct update.
#[derive(Clone)]
pub struct EngineOptions {
    /// What to simulate.
    pub preset: Preset,
    /// Independent servers, each with its own port, queue and KV cache. Default 1.
    pub replicas: usize,
    /// Address to listen on. Default 127.0.0.1.
    pub host: IpAddr,
    /// Port of the first replica; the others follow. Default: any free ports.
    pub port: Option<u16>,
    /// Seed of texts, lengths, noise and faults. Default 0.
    pub seed: u64,
    /// Counts prompt tokens and provides the vocabulary of the output.
    pub tokenizer: Arc<Tokenizer>,
    /// The served model's name. Default `simulated/<preset>`.
    pub model_name: String,
    /// Injected faults. Default none. Their durations are not scaled by `speed`.
    pub faults: Faults,
    /// Steps take 1/`speed` of their time. Default 1.
    pub speed: f64,
    /// Makes steps slower by exact factors. Default none.
    pub slowdown: Slowdown,
    /// Noise of the step times. Default: the preset's.
    pub noise: Option<Noise>,
    /// Output tokens in one event, except for the first, which has an event of its own
    /// (vLLM's `--stream-interval`). Default 1.
    pub tokens_per_chunk: NonZeroU32,
    /// What to do with requests that exceed the context. Default [`ContextOverflow::Reject`].
    pub context_overflow: ContextOverflow,
    /// Number of requests whose ground truth is kept; fewer if outputs are long (at most four
    /// million tokens). Default 10,000.
    pub truth_capacity: usize,
    /// Threads that serve HTTP. Default 1.
    pub http_threads: NonZeroUsize,
}

impl fmt::Debug for EngineOptions {
    /// Omits the tokenizer, which is very long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineOptions")
            .field("label", &self.label())
            .field("replicas", &self.replicas)
            .field("port", &self.port)
            .field("seed", &self.seed)
            .field("model_name", &self.model_name)
            .finish_non_exhaustive()
    }
}

impl EngineOptions {
    /// One replica of `preset` on a free port, without faults, at real speed.
    pub fn new(preset: Preset, tokenizer: Arc<Tokenizer>) -> EngineOptions {
        EngineOptions {
            model_name: format!("simulated/{}", preset.name),
            preset,
            replicas: 1,
            host: Ipv4Addr::LOCALHOST.into(),
            port: None,
            seed: 0,
            tokenizer,
            faults: Faults::default(),
            speed: 1.0,
            slowdown: Slowdown::NONE,
            noise: None,
            tokens_per_chunk: NonZeroU32::MIN,
            context_overflow: ContextOverflow::default(),
            truth_capacity: 10_000,
            http_threads: NonZeroUsize::MIN,
        }
    }

    /// The preset's name and every difference of the engine from it, to mark all of its
    /// figures: `sim-small; speed=20; slowdown=decode=5%`.
    pub(super) fn label(&self) -> String {
        let mut label = self.preset.name.clone();
        let mut add = |name: &str, value: String| {
            if !value.is_empty() {
                label.push_str(&format!("; {name}={value}"));
            }
        };
        if self.speed != 1.0 {
            add("speed", self.speed.to_string());
        }
        add("slowdown", self.slowdown.to_string());
        if let Some(noise) = self.noise.filter(|noise| *noise != self.preset.noise) {
            let text = noise.to_string();
            add("noise", if text.is_empty() { "none".into() } else { text });
        }
        add("faults", self.faults.to_string());
        if self.tokens_per_chunk > NonZeroU32::MIN {
            add("tokens_per_chunk", self.tokens_per_chunk.to_string());
        }
        label
    }

    pub(super) fn check(&self) -> Result<(), EngineError> {
        self.preset.check()?;
        let invalid = |option, problem: &str| {
            Err(EngineError::InvalidOption {
                option,
                problem: problem.to_owned(),
            })
        };
        if !(1..=1024).contains(&self.replicas) {
            return invalid("replicas", "must be 1 to 1024");
        }
        if !(self.speed.is_finite() && self.speed > 0.0) {
            return invalid("speed", "must be a number above 0");
        }
        let Slowdown { prefill, decode } = self.slowdown;
        if let Some(part) = first_invalid(&[("prefill", prefill), ("decode", decode)]) {
            return invalid(
                "slowdown",
                &format!("the factor of {part} must be a number of 0 or more"),
            );
        }
        if let Some(problem) = self.noise.and_then(|noise| noise.problem()) {
            return invalid("noise", &problem);
        }
        if self.model_name.is_empty() {
            return invalid("model_name", "must not be empty");
        }
        Ok(())
    }
}
