//! Three layouts of a model over eight GPUs as embedded engines: what there is to measure without GPUs.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use crate::engine::{Engine, EngineError, EngineOptions, Preset};
use crate::prompt::{TokenizeError, shipped_tokenizer};

/// A layout: so many engines, each over so many simulated GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `2x4`.
    pub name: &'static str,
    /// Engines.
    pub replicas: NonZeroUsize,
    /// Simulated GPUs of each.
    pub gpus_per_replica: NonZeroU32,
    /// What each simulates.
    pub preset: &'static str,
}

/// What the engines of every layout serve: they can be compared as they serve the same model.
const MODEL: &str = "simulated/llama3-70b-h100";

const fn layout(
    name: &'static str,
    replicas: usize,
    gpus_per_replica: u32,
    preset: &'static str,
) -> Layout {
    Layout {
        name,
        replicas: NonZeroUsize::new(replicas).unwrap(),
        gpus_per_replica: NonZeroU32::new(gpus_per_replica).unwrap(),
        preset,
    }
}

/// Llama 3.1 70B over eight H100: 1×8, 2×4 and 4×2.
pub const LAYOUTS: [Layout; 3] = [
    layout("1x8", 1, 8, "llama3-70b-h100-tp8"),
    layout("2x4", 2, 4, "llama3-70b-h100-tp4"),
    layout("4x2", 4, 2, "llama3-70b-h100-tp2"),
];

/// A layout's engines could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The engine.
    #[error("the embedded engine could not be started: {0}")]
    Engine(#[from] EngineError),
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizeError),
}

impl Layout {
    /// Starts its engines on free ports, at real speed.
    ///
    /// # Errors
    /// [`LayoutError`]; no layout of [`LAYOUTS`] has one but for want of ports and threads.
    pub fn start(&self, seed: u64) -> Result<Engine, LayoutError> {
        let preset = Preset::named(self.preset)?;
        let options = EngineOptions::new(preset, Arc::new(shipped_tokenizer()?));
        Ok(Engine::start(EngineOptions {
            replicas: self.replicas.get(),
            seed,
            model_name: MODEL.to_owned(),
            ..options
        })?)
    }
}
