use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Deployment;
use crate::deployment::layouts::Layout;

/// Which deployment a point was measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeploymentRecord {
    /// Its name.
    pub name: String,
    /// Its servers.
    pub replicas: usize,
    /// GPUs of each, where known; those of a simulated one are simulated.
    pub gpus_per_replica: Option<u32>,
    /// The user's label.
    pub version: Option<String>,
}

impl DeploymentRecord {
    /// GPUs of all replicas, where known.
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

impl From<&Layout> for DeploymentRecord {
    fn from(layout: &Layout) -> DeploymentRecord {
        DeploymentRecord {
            name: layout.name.to_owned(),
            replicas: layout.replicas.get(),
            gpus_per_replica: Some(layout.gpus_per_replica.get()),
            version: None,
        }
    }
}
