//! A replica as its HTTP layer sees it, with the channel to its driver.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use tokenizers::Tokenizer;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::driver::{DriverCommand, Submission};
use super::faults::{Faults, RequestFaults};
use super::metrics::Metrics;
use super::options::ContextOverflow;
use super::output::{self, OutputLimits, OutputPlan};
use super::preset::Preset;
use super::scheduler::{Sequence, SequenceId, TokenEvent};
use super::text::{TokenStream, Vocabulary, mix};
use super::truth::{self, ChoiceTruth, RequestTruth, TruthLog, TruthRecord};

/// The state that all replicas of an engine share.
pub(super) struct Shared {
    pub(super) preset: Preset,
    pub(super) model_name: String,
    pub(super) fingerprint: String,
    /// Unix time of the start, seconds.
    pub(super) created: u64,
    pub(super) tokenizer: Arc<Tokenizer>,
    pub(super) vocabulary: Arc<Vocabulary>,
    pub(super) truth: TruthLog,
    pub(super) epoch: Instant,
    /// The epoch on the system's monotonic clock (ns), if all processes share one.
    pub(super) epoch_monotonic_ns: Option<u64>,
    pub(super) seed: u64,
    pub(super) faults: Faults,
    pub(super) context_overflow: ContextOverflow,
    /// Value of the header that marks every response as simulated.
    pub(super) label: String,
    pub(super) tokens_per_chunk: NonZeroU32,
}

impl Shared {
    /// Token ids of `text`; the error is the tokenizer's message.
    pub(super) fn encode(&self, text: &str, special_tokens: bool) -> Result<Vec<u32>, String> {
        let encoding = self.tokenizer.encode_fast(text, special_tokens);
        let encoding = encoding.map_err(|error| error.to_string())?;
        Ok(encoding.get_ids().to_vec())
    }
}

/// One replica as its HTTP handlers see it.
pub(super) struct Replica {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) commands: Sender<DriverCommand>,
    /// Requests seen so far; the next one's ordinal.
    pub(super) requests: AtomicU64,
    /// Sequences named so far; the next one's id.
    pub(super) sequences: AtomicU64,
}

/// One tokenised prompt of a request, and the limits of its output.
pub(super) struct TokenizedPrompt {
    pub(super) tokens: Arc<[u32]>,
    pub(super) limits: OutputLimits,
}

/// A request for output tokens.
pub(super) struct GenerationJob {
    pub(super) request_id: String,
    pub(super) arrival: Instant,
    pub(super) prompts: Vec<TokenizedPrompt>,
    /// Choices for each prompt.
    pub(super) n: usize,
    /// The request's own `seed`.
    pub(super) seed: Option<i64>,
    pub(super) ordinal: u64,
}

/// One choice of a response: a sequence of its own, with a planned output.
#[derive(Debug)]
pub(super) struct PlannedChoice {
    prompt: Arc<[u32]>,
    pub(super) plan: OutputPlan,
    pub(super) stream: TokenStream,
    finished: bool,
}

/// A job with a planned output, not yet submitted to the scheduler.
pub(super) struct PlannedJob {
    request_id: String,
    arrival: Instant,
    prompt_tokens: usize,
    choices: Vec<PlannedChoice>,
    pub(super) faults: RequestFaults,
}

impl Replica {
    /// The next request's ordinal, from 0.
    pub(super) fn next_ordinal(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// A seed that differs from that of the other replicas' requests with the same ordinal.
    fn request_seed(&self, ordinal: u64) -> u64 {
        mix(self.shared.seed ^ mix(self.index as u64)).wrapping_add(ordinal)
    }

    /// An id for a request without one: 16 hexadecimal digits, different in every run of the engine.
    pub(super) fn make_request_id(&self, ordinal: u64) -> String {
        format!(
            "{:016x}",
            mix(self.request_seed(ordinal) ^ mix(self.shared.created))
        )
    }

    /// Plans the output and the faults of `job`.
    pub(super) fn plan(&self, job: GenerationJob) -> PlannedJob {
        let mut choices = Vec::with_capacity(job.prompts.len() * job.n);
        for prompt in &job.prompts {
            let seed = match job.seed {
                // As in vLLM, the same seed and prompt give the same output.
                Some(seed) => prompt.tokens.iter().fold(mix(seed as u64), |hash, token| {
                    mix(hash ^ u64::from(*token))
                }),
                None => mix(self.request_seed(job.ordinal)),
            };
            for _ in 0..job.n {
                let seed = match choices.len() as u64 {
                    0 => seed,
                    index => mix(seed ^ mix(index)),
                };
                choices.push(self.choose(prompt, seed));
            }
        }
        let tokens = count_tokens(&choices);
        let faults = self.shared.faults.draw(
            mix(self.shared.seed ^ mix(self.index as u64)),
            job.ordinal,
            tokens,
        );
        PlannedJob {
            request_id: job.request_id,
            arrival: job.arrival,
            prompt_tokens: job.prompts.iter().map(|prompt| prompt.tokens.len()).sum(),
            choices,
            faults,
        }
    }

    fn choose(&self, prompt: &TokenizedPrompt, seed: u64) -> PlannedChoice {
        let stream = TokenStream::new(seed, self.shared.vocabulary.clone());
        let natural = &self.shared.preset.natural_length;
        PlannedChoice {
            prompt: prompt.tokens.clone(),
            plan: output::plan(&stream, seed, natural, &prompt.limits),
            stream,
            finished: false,
        }
    }

    /// Puts a planned job into the scheduler's queue.
    pub(super) fn submit(self: &Arc<Self>, planned: PlannedJob) -> Generation {
        let choices = planned.choices;
        let count = choices.len() as u64;
        let first_id = self.sequences.fetch_add(count, Ordering::Relaxed);
        let sequence = |(id, choice): (SequenceId, &PlannedChoice)| Sequence {
            id,
            prompt: choice.prompt.clone(),
            stream: choice.stream.clone(),
            output_tokens: choice.plan.tokens,
            finish: choice.plan.finish,
        };
        let (sender, tokens) = unbounded_channel();
        let truth = self.open_truth(
            &planned.request_id,
            planned.arrival,
            planned.prompt_tokens,
            &choices,
        );
        let submission = Submission {
            sequences: (first_id..).zip(&choices).map(sequence).collect(),
            arrival: planned.arrival,
            truth: truth.clone(),
            tokens: sender,
        };
        // A driver that has ended drops the sender: the response then ends like a lost connection.
        let _ = self
            .commands
            .send(DriverCommand::Submit(Box::new(submission)));
        Generation {
            replica: self.clone(),
            first_id,
            request_id: planned.request_id,
            prompt_tokens: planned.prompt_tokens,
            choices,
            faults: planned.faults,
            tokens,
            truth,
        }
    }

    fn open_truth(
        &self,
        request_id: &str,
        arrival: Instant,
        prompt_tokens: usize,
        choices: &[PlannedChoice],
    ) -> TruthRecord {
        let arrival_ns = arrival.duration_since(self.shared.epoch).as_nanos() as u64;
        let truth = RequestTruth {
            request_id: request_id.to_owned(),
            replica: self.index,
            prompt_tokens,
            arrival_ns,
            choices: vec![ChoiceTruth::default(); choices.len()],
        };
        let tokens = choices.iter().map(|choice| choice.plan.tokens as usize);
        self.shared.truth.open(truth, tokens.sum())
    }
}

/// The running sequences of a response. Dropping it aborts unfinished ones and frees their blocks.
pub(super) struct Generation {
    replica: Arc<Replica>,
    /// The first choice's sequence; the others' ids follow.
    first_id: SequenceId,
    pub(super) request_id: String,
    pub(super) prompt_tokens: usize,
    pub(super) choices: Vec<PlannedChoice>,
    pub(super) faults: RequestFaults,
    tokens: UnboundedReceiver<TokenEvent>,
    truth: TruthRecord,
}

impl Generation {
    /// The state that all replicas share.
    pub(super) fn shared(&self) -> &Shared {
        &self.replica.shared
    }

    /// Waits for tokens and appends the available ones, at most `limit`. Returns `false` if the
    /// engine is stopping.
    pub(super) async fn receive(&mut self, events: &mut Vec<TokenEvent>, limit: usize) -> bool {
        let from = events.len();
        let received = self.tokens.recv_many(events, limit).await > 0;
        for event in &events[from..] {
            if event.finish.is_some() {
                let choice = self.choice_of(event);
                self.choices[choice].finished = true;
            }
        }
        received
    }

    /// Records that the first `tokens` tokens of each choice are being written now.
    pub(super) fn note_written(&self, tokens: impl Iterator<Item = u32>) {
        let now_ns = self.shared().epoch.elapsed().as_nanos() as u64;
        let mut truth = truth::lock(&self.truth);
        for (choice, tokens) in truth.choices.iter_mut().zip(tokens) {
            choice.written_ns.resize(tokens as usize, now_ns);
        }
    }

    /// Index of the choice that a token belongs to.
    pub(super) fn choice_of(&self, event: &TokenEvent) -> usize {
        (event.sequence - self.first_id) as usize
    }

    /// Whether every choice's last token has been received.
    pub(super) fn is_finished(&self) -> bool {
        self.choices.iter().all(|choice| choice.finished)
    }

    /// Output tokens of all choices together.
    pub(super) fn output_tokens(&self) -> u32 {
        count_tokens(&self.choices)
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        for (id, choice) in (self.first_id..).zip(&self.choices) {
            if !choice.finished {
                let _ = self.replica.commands.send(DriverCommand::Abort(id));
            }
        }
    }
}

/// Output tokens of all choices. Saturates at a number that no response reaches.
fn count_tokens(choices: &[PlannedChoice]) -> u32 {
    let tokens = choices.iter().map(|choice| choice.plan.tokens);
    tokens.fold(0, u32::saturating_add)
}

/// Sleeps for the duration, if any.
pub(super) async fn pause(duration: Option<Duration>) {
    if let Some(duration) = duration {
        tokio::time::sleep(duration).await;
    }
}
