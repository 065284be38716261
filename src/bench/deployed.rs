//! A deployment that is measured, and its servers while they run.

use crate::config::{Deployment, Settings};
use crate::dialect::Dialect;
use crate::embedded::EmbeddedLayout;
use crate::fixture::{Fixture, FixtureError};
use crate::interrupt::Interrupt;
use crate::results::{self, DeploymentRecord};

/// A deployment of a bench with several.
pub struct Deployed {
    pub record: DeploymentRecord,
    source: Source,
    fixture: Option<Fixture>,
}

/// Where a deployment's servers come from.
pub enum Source {
    /// `DEPLOYMENTS` describes them.
    Configured(Deployment),
    /// They are embedded engines.
    Embedded(EmbeddedLayout),
}

impl Deployed {
    /// A deployment that is not booted yet.
    pub fn new(record: DeploymentRecord, source: Source) -> Deployed {
        Deployed {
            record,
            source,
            fixture: None,
        }
    }

    /// Its servers; `None` before it is booted.
    pub fn fixture(&self) -> Option<&Fixture> {
        self.fixture.as_ref()
    }

    /// Stops what was booted.
    pub fn stop(&mut self) {
        self.fixture = None;
    }

    /// Starts its servers and waits until they are ready.
    ///
    /// # Errors
    /// Why it could not be booted; what was started has been stopped.
    pub fn boot(
        &mut self,
        config: &Settings,
        dialect: &'static dyn Dialect,
        interrupt: &Interrupt,
    ) -> Result<(), FixtureError> {
        let logs = results::directory().join("logs");
        self.fixture = Some(match &self.source {
            Source::Configured(deployment) => {
                Fixture::of_deployment(config, dialect, deployment, &logs, interrupt)?
            }
            Source::Embedded(layout) => Fixture::of_layout(config, dialect, layout, interrupt)?,
        });
        Ok(())
    }
}
