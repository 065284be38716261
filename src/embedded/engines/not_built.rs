use super::error::EmbeddedError;
use super::layouts::EmbeddedLayout;
use crate::config::EndpointUrl;

/// Running engines, of which a build without the feature `engine` has none.
pub enum Engines {}

impl Engines {
    /// Always an error.
    ///
    /// # Errors
    /// [`EmbeddedError::NotBuilt`].
    pub fn boot(_seed: u64) -> Result<Engines, EmbeddedError> {
        Err(EmbeddedError::NotBuilt)
    }

    /// Always an error.
    ///
    /// # Errors
    /// [`EmbeddedError::NotBuilt`].
    pub fn boot_layout(_layout: &EmbeddedLayout, _seed: u64) -> Result<Engines, EmbeddedError> {
        Err(EmbeddedError::NotBuilt)
    }

    /// Never called.
    pub fn urls(&self) -> Result<Vec<EndpointUrl>, EmbeddedError> {
        match *self {}
    }
}
