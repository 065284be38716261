//! What the HTTP layer of one replica knows, and its way to the replica's driver.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use tokenizers::Tokenizer;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::driver::{Command, Submission};
use super::faults::{Faults, RequestFaults};
use super::metrics::Metrics;
use super::output::{self, OutputLimits, OutputPlan};
use super::preset::Preset;
use super::scheduler::{Sequence, SequenceId, TokenEvent};
use super::server::ContextOverflow;
use super::text::{TokenStream, Vocabulary, mix};
use super::truth::{RequestTruth, TruthLog};

/// What all replicas of an engine share.
pub(super) struct Shared {
    pub(super) preset: Preset,
    pub(super) model_name: String,
    pub(super) version: String,
    pub(super) fingerprint: String,
    /// Unix time of the start, seconds.
    pub(super) created: u64,
    pub(super) tokenizer: Arc<Tokenizer>,
    pub(super) vocabulary: Arc<Vocabulary>,
    pub(super) truth: TruthLog,
    pub(super) epoch: Instant,
    pub(super) seed: u64,
    pub(super) faults: Faults,
    pub(super) context_overflow: ContextOverflow,
}

impl fmt::Debug for Shared {
    /// Without tokenizer and vocabulary, which would fill pages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("preset", &self.preset)
            .field("model_name", &self.model_name)
            .field("seed", &self.seed)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Token ids of `text`; the error is the tokenizer's own words.
    pub(super) fn encode(&self, text: &str, special_tokens: bool) -> Result<Vec<u32>, String> {
        let encoding = self.tokenizer.encode_fast(text, special_tokens);
        let encoding = encoding.map_err(|error| error.to_string())?;
        Ok(encoding.get_ids().to_vec())
    }
}

/// One replica as its HTTP handlers see it.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) commands: Sender<Command>,
    /// Requests seen so far; the next one's ordinal.
    pub(super) requests: AtomicU64,
}

/// A request for output tokens, its prompt tokenised.
pub(super) struct GenerationJob {
    pub(super) request_id: String,
    pub(super) arrival: Instant,
    pub(super) prompt: Vec<u32>,
    pub(super) limits: OutputLimits,
    /// The request's own `seed`.
    pub(super) seed: Option<i64>,
    pub(super) ordinal: u64,
}

/// A job whose output is decided but not yet asked of the scheduler.
pub(super) struct PlannedJob {
    job: GenerationJob,
    pub(super) plan: OutputPlan,
    pub(super) faults: RequestFaults,
    stream: TokenStream,
}

impl Replica {
    /// The next request's ordinal, from 0.
    pub(super) fn next_ordinal(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// A seed that no other replica's request of that ordinal has.
    fn request_seed(&self, ordinal: u64) -> u64 {
        mix(self.shared.seed ^ mix(self.index as u64)).wrapping_add(ordinal)
    }

    /// An id for a request that brought none: 16 hexadecimal digits, other in every engine's life.
    pub(super) fn make_request_id(&self, ordinal: u64) -> String {
        format!(
            "{:016x}",
            mix(self.request_seed(ordinal) ^ mix(self.shared.created))
        )
    }

    /// Decides output and faults of `job`.
    pub(super) fn plan(&self, job: GenerationJob) -> PlannedJob {
        let seed =
            match job.seed {
                // Like a seeded request of vLLM: the same seed and prompt, the same output.
                Some(seed) => job.prompt.iter().fold(mix(seed as u64), |hash, token| {
                    mix(hash ^ u64::from(*token))
                }),
                None => mix(self.request_seed(job.ordinal)),
            };
        let stream = TokenStream::new(seed, self.shared.vocabulary.clone());
        let natural = &self.shared.preset.natural_length;
        let plan = output::plan(&stream, seed, natural, &job.limits);
        let faults = self.shared.faults.draw(
            mix(self.shared.seed ^ mix(self.index as u64)),
            job.ordinal,
            plan.tokens,
        );
        PlannedJob {
            job,
            plan,
            faults,
            stream,
        }
    }

    /// Puts a planned job into the scheduler's queue.
    pub(super) fn submit(self: &Arc<Self>, planned: PlannedJob) -> Generation {
        let PlannedJob {
            job,
            plan,
            faults,
            stream,
        } = planned;
        let prompt_tokens = job.prompt.len();
        let arrival_ns = job.arrival.duration_since(self.shared.epoch).as_nanos() as u64;
        let truth = RequestTruth {
            request_id: job.request_id.clone(),
            replica: self.index,
            prompt_tokens,
            cached_prompt_tokens: 0,
            arrival_ns,
            token_ns: Vec::new(),
            finish_reason: None,
        };
        let truth = self.shared.truth.open(truth, plan.tokens as usize);
        let (sender, tokens) = unbounded_channel();
        let submission = Submission {
            sequence: Sequence {
                id: job.ordinal,
                prompt: job.prompt.into(),
                stream: stream.clone(),
                output_tokens: plan.tokens,
                finish: plan.finish,
            },
            arrival: job.arrival,
            truth,
            tokens: sender,
        };
        // A driver that is gone drops the sender: the response ends as a lost connection would.
        let _ = self.commands.send(Command::Submit(Box::new(submission)));
        Generation {
            replica: self.clone(),
            id: job.ordinal,
            request_id: job.request_id,
            prompt_tokens,
            plan,
            faults,
            stream,
            tokens,
            text_sent: 0,
            finished: false,
        }
    }
}

/// A sequence under way. Dropping it before its end aborts it and frees its blocks.
pub(super) struct Generation {
    replica: Arc<Replica>,
    id: SequenceId,
    pub(super) request_id: String,
    pub(super) prompt_tokens: usize,
    pub(super) plan: OutputPlan,
    pub(super) faults: RequestFaults,
    stream: TokenStream,
    tokens: UnboundedReceiver<TokenEvent>,
    text_sent: usize,
    finished: bool,
}

impl Generation {
    /// What all replicas share.
    pub(super) fn shared(&self) -> &Shared {
        &self.replica.shared
    }

    /// The next token; `None` when the engine is stopping.
    pub(super) async fn next(&mut self) -> Option<TokenEvent> {
        let event = self.tokens.recv().await?;
        self.finished |= event.finish.is_some();
        Some(event)
    }

    /// Text of a token, cut where a stop string ends the output.
    pub(super) fn piece(&mut self, index: u32) -> &str {
        let piece = self.stream.piece(index);
        let room = self.plan.text_bytes.unwrap_or(usize::MAX) - self.text_sent;
        let piece = &piece[..piece.len().min(room)];
        self.text_sent += piece.len();
        piece
    }

    /// The same, as the inside of a JSON string; `None` where only part of the token is sent.
    pub(super) fn whole_escaped_piece(&self, index: u32) -> Option<&str> {
        let whole = self.plan.text_bytes.is_none();
        whole.then(|| self.stream.escaped_piece(index))
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        if !self.finished {
            let _ = self.replica.commands.send(Command::Abort(self.id));
        }
    }
}

/// Sleeps unless there is nothing to wait for.
pub(super) async fn pause(duration: Option<Duration>) {
    if let Some(duration) = duration {
        tokio::time::sleep(duration).await;
    }
}
