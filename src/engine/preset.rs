//! Presets: named parameters of the step time and the scheduler, with the source of
//! their figures. Each is one JSON file in `fixtures/engine/`.

use serde::{Deserialize, Serialize};

use super::EngineError;
use super::noise::Noise;
use super::output::NaturalLength;
use super::parameters::first_invalid;
use super::scheduler::SchedulerLimits;
use super::step_time::StepTime;

/// A shipped preset with its file.
macro_rules! shipped {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../fixtures/engine/", $name, ".json")),
        )
    };
}

/// The shipped presets, the default first.
const SHIPPED: [(&str, &str); 8] = [
    shipped!("sim-small"),
    shipped!("instant"),
    shipped!("fixed-interval"),
    shipped!("llama3-8b-h100"),
    shipped!("llama3-70b-h100-tp2"),
    shipped!("llama3-70b-h100-tp4"),
    shipped!("llama3-70b-h100-tp8"),
    shipped!("tiny-llama-cpu"),
];

/// A published throughput that a preset should reproduce.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedThroughput {
    /// Prompt length, tokens.
    pub prompt_tokens: usize,
    /// Output length, tokens.
    pub output_tokens: u32,
    /// Output throughput under maximum load, tok/s.
    pub output_tok_s: f64,
}

/// The API server between the socket and the scheduler, which parses and tokenises.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frontend {
    /// Time for each sequence, one after another on a single thread (µs).
    pub per_request_us: f64,
    /// Further time for each token of the prompt (µs).
    pub per_prompt_token_us: f64,
    /// Latency that does not delay other sequences (µs).
    pub latency_us: f64,
}

impl Frontend {
    /// Takes no time.
    pub const NONE: Frontend = Frontend {
        per_request_us: 0.0,
        per_prompt_token_us: 0.0,
        latency_us: 0.0,
    };

    fn invalid_parameter(&self) -> Option<&'static str> {
        first_invalid(&[
            ("per_request_us", self.per_request_us),
            ("per_prompt_token_us", self.per_prompt_token_us),
            ("latency_us", self.latency_us),
        ])
    }

    /// The time at which a sequence that arrives at `arrival_ns` leaves the frontend (ns). `free_ns` is
    /// the time at which the thread is free, and is advanced.
    pub(super) fn pass(&self, arrival_ns: u64, prompt_tokens: usize, free_ns: &mut u64) -> u64 {
        let nanos = |us: f64| (us * 1e3) as u64;
        let work_us = self.per_request_us + prompt_tokens as f64 * self.per_prompt_token_us;
        *free_ns = arrival_ns.max(*free_ns).saturating_add(nanos(work_us));
        free_ns.saturating_add(nanos(self.latency_us))
    }
}

/// A simulated engine's parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Short name, as in `--preset` and in the header `x-servemark-simulated`.
    pub name: String,
    /// What it simulates, in one line.
    pub summary: String,
    /// The source of the figures, or that they are invented.
    pub source: String,
    /// Published figures that the preset is fitted to; empty for invented ones.
    pub reproduces: Vec<PublishedThroughput>,
    /// How long a step takes.
    pub step_time: StepTime,
    /// The delay before a request reaches the scheduler's queue.
    pub frontend: Frontend,
    /// Noise of the step times.
    pub noise: Noise,
    /// The scheduler's limits.
    pub scheduler: SchedulerLimits,
    /// Length of outputs that nothing else ends.
    pub natural_length: NaturalLength,
}

impl Preset {
    /// Names of the shipped presets, the default first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// The shipped preset called `name`.
    ///
    /// # Errors
    /// [`EngineError::UnknownPreset`] if there is none; it names all presets.
    pub fn named(name: &str) -> Result<Preset, EngineError> {
        match SHIPPED.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Preset::from_json(text),
            None => Err(EngineError::UnknownPreset {
                name: name.to_owned(),
                known: Preset::names().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// Parses and checks a preset, such as a user's own.
    ///
    /// # Errors
    /// [`EngineError::InvalidPreset`] for text that is not a preset, or invalid parameters.
    pub fn from_json(text: &str) -> Result<Preset, EngineError> {
        let preset: Preset =
            serde_json::from_str(text).map_err(|error| EngineError::InvalidPreset {
                name: "(unread)".to_owned(),
                problem: error.to_string(),
            })?;
        preset.check()?;
        Ok(preset)
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`EngineError::InvalidPreset`] with the invalid parameter.
    pub fn check(&self) -> Result<(), EngineError> {
        let invalid = |problem: String| {
            Err(EngineError::InvalidPreset {
                name: self.name.clone(),
                problem,
            })
        };
        let printable = |c: char| c.is_ascii_graphic();
        if self.name.is_empty() || !self.name.chars().all(printable) {
            return invalid("its name must be printable ASCII without spaces".to_owned());
        }
        if let Some(parameter) = self.step_time.invalid_parameter() {
            return invalid(format!("step_time.{parameter} must be 0 or more"));
        }
        if let Some(parameter) = self.frontend.invalid_parameter() {
            return invalid(format!("frontend.{parameter} must be 0 or more"));
        }
        if let Some(problem) = self.noise.problem() {
            return invalid(format!("noise: {problem}"));
        }
        if let Some(problem) = self.scheduler.problem() {
            return invalid(format!("scheduler: {problem}"));
        }
        let NaturalLength {
            median_tokens,
            sigma,
        } = self.natural_length;
        if !(median_tokens >= 1.0 && median_tokens.is_finite() && sigma >= 0.0 && sigma.is_finite())
        {
            return invalid("natural_length needs median_tokens >= 1 and sigma >= 0".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::FinishReason;
    use super::super::scheduler::{Scheduler, Sequence};
    use super::super::step_time::Slowdown;
    use super::super::text::{TokenStream, tests::small_vocabulary};
    use super::*;

    #[test]
    fn every_shipped_preset_is_valid_and_states_its_source() {
        for name in Preset::names() {
            let preset = Preset::named(name).expect(name);
            assert_eq!(preset.name, name);
            assert!(preset.source.len() > 20, "{name}");
        }
    }

    #[test]
    fn an_unknown_preset_lists_the_known_ones() {
        let error = Preset::named("gpt-9").expect_err("unknown").to_string();
        assert!(error.contains("llama3-8b-h100"), "{error}");
    }

    #[test]
    fn an_invalid_preset_is_refused() {
        let mut preset = Preset::named("sim-small").expect("shipped");
        preset.scheduler.num_kv_blocks = 1;
        let error = preset.check().expect_err("too few blocks").to_string();
        assert!(error.contains("max_model_len"), "{error}");
        preset.scheduler.num_kv_blocks = 1 << 40;
        let error = preset.check().expect_err("too many blocks").to_string();
        assert!(error.contains("num_kv_blocks"), "{error}");
        assert!(Preset::from_json("{}").is_err());
    }

    /// Output tok/s of `preset` in steady state, with more sequences than can run.
    fn throughput(preset: &Preset, prompt_tokens: usize, output_tokens: u32) -> f64 {
        let mut scheduler = Scheduler::new(preset.scheduler);
        let words = small_vocabulary();
        let mut next = 0u32;
        let mut submit = |scheduler: &mut Scheduler| {
            next += 1;
            // Different prompts: the published figures use random ones.
            let prompt: Vec<u32> = (0..prompt_tokens as u32).map(|k| k ^ next << 16).collect();
            scheduler.submit(Sequence {
                id: u64::from(next),
                prompt: prompt.into(),
                stream: TokenStream::new(u64::from(next), words.clone()),
                output_tokens,
                finish: FinishReason::Length,
            });
        };
        let load = preset.scheduler.max_num_seqs + 50;
        (0..load).for_each(|_| submit(&mut scheduler));
        let (mut seconds, mut tokens, mut finished) = (0.0, 0, 0);
        let mut events = Vec::new();
        while finished < 2 * load {
            let step = scheduler.schedule().expect("there is always work");
            let time_ns = preset.step_time.exact_ns(&step, Slowdown::NONE);
            scheduler.complete(&mut events);
            let ended = events.iter().filter(|event| event.finish.is_some()).count();
            (0..ended).for_each(|_| submit(&mut scheduler));
            // The first half fills the pipe and spreads the sequences' ages.
            if finished >= load {
                seconds += time_ns * 1e-9;
                tokens += events.len();
            }
            finished += ended;
            events.clear();
        }
        tokens as f64 / seconds
    }

    #[test]
    fn fitted_presets_reproduce_the_published_throughput() {
        for name in Preset::names() {
            let preset = Preset::named(name).expect(name);
            // The long figures take minutes to step through; the fit covers them.
            let short = |figure: &&PublishedThroughput| figure.output_tokens <= 128;
            for figure in preset.reproduces.iter().filter(short) {
                let simulated = throughput(&preset, figure.prompt_tokens, figure.output_tokens);
                let ratio = simulated / figure.output_tok_s;
                assert!(
                    (0.9..1.1).contains(&ratio),
                    "{name} {figure:?}: {simulated:.0} tok/s"
                );
            }
        }
    }
}
