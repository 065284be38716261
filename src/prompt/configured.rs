//! The workloads of mixed lengths that the configuration names.

use super::mixed_lengths::MixedLengths;
use super::named_prompt::NamedPrompt;
use super::workload::{Workload, WorkloadError};
use crate::config::MixedWorkload;

impl Workload {
    /// The workloads of `WORKLOADS`, each with its own part in the benchmark ids.
    pub fn configured() -> Workload {
        Workload::new(|config| Ok(config.workloads.iter().map(named).collect()))
    }

    /// The workload of this name: of `WORKLOADS`, or else a built-in one.
    pub fn named(name: impl Into<String>) -> Workload {
        let name = name.into();
        Workload::new(move |config| {
            let workload = config.workload(&name).map_err(WorkloadError::Unknown)?;
            Ok(vec![named(&workload)])
        })
    }
}

fn named(workload: &MixedWorkload) -> NamedPrompt {
    let kind = MixedLengths {
        law: workload.lengths.clone(),
        dialect: workload.dialect,
    };
    NamedPrompt::new(workload.name.clone(), kind).with_slo(workload.slo)
}
