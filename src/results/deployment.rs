use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Deployment;
use crate::embedded::EmbeddedLayout;

/// The deployment that a point was measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeploymentRecord {
    /// Its name.
    pub name: String,
    /// Number of servers.
    pub replicas: usize,
    /// GPUs of each server, if known; a simulated server has simulated GPUs.
    pub gpus_per_replica: Option<u32>,
    /// The user's label.
    pub version: Option<String>,
}

impl DeploymentRecord {
    /// GPUs of all replicas, if known.
    pub fn gpus(&self) -> Option<u32> {
        let replicas = u32::try_from(self.replicas).ok()?;
        self.gpus_per_replica?.checked_mul(replicas)
    }
}

impl From<&Deployment> for DeploymentRecord {
    fn from(deployment: &Deployment) -> DeploymentRecord {
        DeploymentRecord {
            name: deployment.name.clone(),
            replicas: deployment.replicas(),
            gpus_per_replica: deployment.gpus_per_replica.map(|gpus| gpus.get()),
            version: deployment.version.clone(),
        }
    }
}

impl From<&EmbeddedLayout> for DeploymentRecord {
    fn from(layout: &EmbeddedLayout) -> DeploymentRecord {
        DeploymentRecord {
            name: layout.name.to_owned(),
            replicas: layout.replicas.get(),
            gpus_per_replica: Some(layout.gpus_per_replica.get()),
            version: None,
        }
    }
}
