use std::sync::Arc;

use super::error::EmbeddedError;
use super::layouts::EmbeddedLayout;
use crate::config::EndpointUrl;
use crate::engine::{Engine, EngineOptions, Preset};
use crate::prompt::shipped_tokenizer;

/// Replicas where no layout says how many: more than one, so that balancing can be seen.
const REPLICAS: usize = 2;

/// The preset where no layout names one.
const PRESET: &str = "sim-small";

/// The model that the engines of every layout serve: they can be compared as they serve the same.
const LAYOUT_MODEL: &str = "simulated/llama3-70b-h100";

/// Running engines; dropped they are stopped.
pub struct Engines(Engine);

impl Engines {
    /// Boots the engine that is measured where no endpoint is configured, on free ports.
    ///
    /// # Errors
    /// Why it could not be started.
    pub fn boot(seed: u64) -> Result<Engines, EmbeddedError> {
        let tokenizer = Arc::new(shipped_tokenizer()?);
        let options = EngineOptions::new(Preset::named(PRESET)?, tokenizer);
        Ok(Engines(Engine::start(EngineOptions {
            replicas: REPLICAS,
            seed,
            ..options
        })?))
    }

    /// Boots the engines of a layout on free ports, at real speed.
    ///
    /// # Errors
    /// Why they could not be started: no ports or no threads are left.
    pub fn boot_layout(layout: &EmbeddedLayout, seed: u64) -> Result<Engines, EmbeddedError> {
        let tokenizer = Arc::new(shipped_tokenizer()?);
        let options = EngineOptions::new(Preset::named(layout.preset)?, tokenizer);
        Ok(Engines(Engine::start(EngineOptions {
            replicas: layout.replicas.get(),
            seed,
            model_name: LAYOUT_MODEL.to_owned(),
            ..options
        })?))
    }

    /// Their addresses.
    ///
    /// # Errors
    /// None that a loopback address has.
    pub fn urls(&self) -> Result<Vec<EndpointUrl>, EmbeddedError> {
        let urls = self.0.urls().iter();
        let urls = urls.map(|url| EndpointUrl::parse(url.as_str()));
        Ok(urls.collect::<Result<_, _>>()?)
    }
}
