use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;

use crate::engine::{EngineError, Preset};
use crate::load::{LOAD_SHAPES, LoadShape, Window};
use crate::metrics::{Distribution, Summary};
use crate::results::{RecordError, RunRecord};
use crate::simulation::{VirtualLoad, VirtualSetup};

/// Number of simulated requests for one figure; more requests reduce the influence of the start.
const REQUESTS: usize = 192;

/// The figures that are fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Output throughput (tok/s).
    pub output_tok_s: f64,
    /// Median TTFT (ms).
    pub ttft_p50_ms: f64,
}

/// The data of a run record that show the server's speed.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Name of the prompt.
    pub prompt: String,
    /// Shape of the load.
    pub shape: &'static LoadShape,
    /// Requests in flight. A simulated load is a closed loop, so it is a plain number.
    pub concurrency: usize,
    /// Servers behind the load.
    pub endpoints: usize,
    /// Prompt length as the server counts it (tokens, mean).
    pub prompt_tokens: usize,
    /// Output length (tokens, mean).
    pub output_tokens: u32,
    /// Longest sequence that the server accepts (tokens), if it reports it.
    pub max_model_len: Option<usize>,
    /// The measured figures.
    pub figures: Figures,
    /// ITL (ms), for the jitter.
    pub itl_ms: Option<Distribution>,
}

/// A run record that cannot be fitted to.
#[derive(Debug, thiserror::Error)]
pub enum ObservationError {
    /// It cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The record lacks data, or is of another kind of run.
    #[error("{path}: {problem}")]
    Unsuitable {
        /// Its path.
        path: String,
        /// The problem.
        problem: String,
    },
}

impl Observation {
    /// Reads the run record at `path`.
    ///
    /// # Errors
    /// [`ObservationError`], which names the file and the problem.
    pub fn read(path: &Path) -> Result<Observation, ObservationError> {
        let record = RunRecord::read(path)?;
        Observation::of(record).map_err(|problem| ObservationError::Unsuitable {
            path: path.display().to_string(),
            problem,
        })
    }

    fn of(record: RunRecord) -> Result<Observation, String> {
        let id = record.config["LOAD_SHAPE"].as_str();
        let mut closed = LOAD_SHAPES.iter().filter(|shape| !shape.is_open());
        let shape = closed.find(|shape| Some(shape.id) == id);
        let shape = shape.ok_or_else(|| format!("its LOAD_SHAPE {id:?} cannot be simulated"))?;
        if record.config["SAFE_CHECK"] == true {
            return Err("SAFE_CHECK was enabled: its time is not the server's".to_owned());
        }
        if record.lengths.is_some() {
            return Err("its requests differ in length, which no simulation repeats".to_owned());
        }
        let summary = record.summary.ok_or("none of its requests succeeded")?;
        let output_tok_s = summary
            .output_tok_s
            .ok_or("it has no output_tok_s: the tokens were not counted")?;
        let ttft = summary
            .ttft_ms
            .ok_or("it has no TTFT: set STREAM to true and measure again")?;
        if !(output_tok_s > 0.0 && ttft.p50 > 0.0) {
            return Err("its output_tok_s and median TTFT must be above 0".to_owned());
        }
        let concurrency = record.level.concurrency();
        let concurrency = concurrency.ok_or("its load did not fix the requests in flight")?;
        let per_request = |tokens: u64| tokens as f64 / summary.completed.max(1) as f64;
        let limits = record.endpoints.iter().filter_map(|e| e.max_model_len);
        Ok(Observation {
            prompt: record.prompt,
            shape,
            concurrency: concurrency.get(),
            endpoints: record.endpoints.len().max(1),
            prompt_tokens: per_request(summary.tokens.input).round() as usize,
            output_tokens: (per_request(summary.tokens.output).round() as u32).max(1),
            max_model_len: limits.min().and_then(|limit| usize::try_from(limit).ok()),
            figures: Figures {
                output_tok_s,
                ttft_p50_ms: ttft.p50,
            },
            itl_ms: summary.itl_ms,
        })
    }

    /// Its name: `1k c=8`.
    pub fn name(&self) -> String {
        format!("{} c={}", self.prompt, self.concurrency)
    }

    /// Simulates this load with `preset` in virtual time.
    pub(super) fn simulate(&self, preset: &Preset) -> Result<Figures, EngineError> {
        let some = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        let mut load = VirtualLoad::start(VirtualSetup {
            replicas: some(self.endpoints),
            shape: self.shape,
            concurrency: some(self.concurrency),
            prompt_tokens: self.prompt_tokens,
            output_tokens: NonZeroU32::new(self.output_tokens).unwrap_or(NonZeroU32::MIN),
            ..VirtualSetup::new(preset.clone())
        })?;
        let rounds = REQUESTS.div_ceil(self.concurrency).max(4) as u64;
        load.window(rounds.div_ceil(4));
        let window: Window = load.window(rounds);
        // Every request of a simulated load completes with its tokens.
        let summary = Summary::of(&[window], 0.0, self.endpoints);
        let figures = summary.and_then(|s| Some((s.output_tok_s?, s.ttft_ms?.p50)));
        let (output_tok_s, ttft_p50_ms) = figures.unwrap_or((f64::NAN, f64::NAN));
        Ok(Figures {
            output_tok_s,
            ttft_p50_ms,
        })
    }
}
