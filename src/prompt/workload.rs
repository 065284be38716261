use std::fmt;
use std::sync::Arc;

use super::named_prompt::NamedPrompt;
use super::questions::QuestionsError;
use crate::config::Settings;

/// What is asked of the endpoints: a list of prompts, all for one API. The kinds of prompt add its constructors.
#[derive(Clone)]
pub struct Workload(Arc<List>);

type List = dyn Fn(&Settings) -> Result<Vec<NamedPrompt>, WorkloadError> + Send + Sync;

/// The workload gives nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The questions cannot be read.
    #[error(transparent)]
    Questions(#[from] QuestionsError),
    /// No workload has the name.
    #[error("--workload and Workload::named: found {0}; WORKLOADS defines more")]
    Unknown(String),
    /// The list of prompts is empty.
    #[error("the workload has no prompt: give Workload::questions at least one question")]
    Empty,
}

impl Workload {
    /// A workload whose prompts `list` makes.
    pub(super) fn new(
        list: impl Fn(&Settings) -> Result<Vec<NamedPrompt>, WorkloadError> + Send + Sync + 'static,
    ) -> Workload {
        Workload(Arc::new(list))
    }

    /// The prompts in the order in which they run.
    pub(crate) fn prompts(&self, config: &Settings) -> Result<Vec<NamedPrompt>, WorkloadError> {
        let prompts = self.0(config)?;
        match prompts.is_empty() {
            true => Err(WorkloadError::Empty),
            false => Ok(prompts),
        }
    }
}

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workload").finish_non_exhaustive()
    }
}
