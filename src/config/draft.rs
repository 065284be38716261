//! A configuration while its keys are read.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::choices::{ArrivalProcess, Balancing, FixedOutput, PrefixCache, SteadyStart};
use super::safety::SafetyKeys;
use super::settings::{ConfigSource, Settings};
use super::slo::Slo;
use super::value::{self, Parsed};
use crate::load::STEADY;

/// What the rows of the table of keys fill in.
pub(super) struct Draft {
    /// The configuration so far.
    pub(super) config: Settings,
    /// The keys from which [`Settings::safety`] is made.
    pub(super) safety: SafetyKeys,
    /// The directory that a relative path in the value under way starts from; `None` for the current one.
    pub(super) base: Option<PathBuf>,
}

impl Draft {
    /// A draft with placeholders; each row of the table of keys replaces its own.
    pub(super) fn new(source: ConfigSource) -> Draft {
        Draft {
            config: Settings {
                source,
                max_new_tokens: NonZeroU32::MIN,
                concurrent_levels: Vec::new(),
                model_path: None,
                model_headers: HeaderMap::new(),
                safety: None,
                threshold_tps: 0.0,
                slo: Slo::default(),
                runs: NonZeroU32::MIN,
                precision: None,
                random_prompt_length: NonZeroUsize::MIN,
                temperature: 0.0,
                top_p: 0.0,
                model_endpoints: Vec::new(),
                balancing: Balancing::RoundRobin,
                deployments: Vec::new(),
                deployment_safety: None,
                tokenizer_path: None,
                num_gpu: None,
                input_file: None,
                prompt_keys: None,
                workloads: Vec::new(),
                stream: true,
                load_shape: &STEADY,
                start: SteadyStart::Together,
                request_rates: Vec::new(),
                arrivals: ArrivalProcess::Poisson,
                ramp: None,
                max_in_flight: NonZeroUsize::MIN,
                prefix_cache: PrefixCache::Bust,
                fixed_output: FixedOutput::Auto,
                extra_body: serde_json::Map::new(),
                ca_file: None,
                insecure: false,
                seed: None,
                request_timeout: Duration::ZERO,
                ready_timeout: Duration::ZERO,
                metrics: Vec::new(),
                ab: None,
                api_key: None,
            },
            safety: SafetyKeys::default(),
            base: None,
        }
    }

    /// Parses a path.
    pub(super) fn path(&self, value: &Value) -> Parsed<Option<PathBuf>> {
        let path = PathBuf::from(value::text(value)?);
        Ok(Some(match &self.base {
            Some(base) => base.join(path),
            None => path,
        }))
    }
}
