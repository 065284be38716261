//! The continuous-batching scheduler: selects the sequences of each step.
//!
//! It follows vLLM's V1 scheduler. Running sequences come first, in order of
//! admission; each needs one token of budget to decode or as many as it has
//! tokens to (re)compute, and what does not fit in `max_num_batched_tokens` waits
//! for the next step (chunked prefill). Then waiting sequences are admitted first
//! come, first served, skipping tokens in the prefix cache. When KV blocks run
//! out, the sequence admitted last is preempted: its blocks are freed and it is
//! recomputed later.
//!
//! There is no clock and no socket: the caller calls [`Scheduler::schedule`], lets the
//! time of the step pass on a clock of its choice, then calls [`Scheduler::complete`].
//! [`EngineCore`](super::EngineCore) does so with the step times of a preset.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::blocks::{BlockHash, BlockId, BlockPool};
use super::output::FinishReason;
use super::step_time::StepLoad;
use super::text::TokenStream;

/// Identifies a sequence in its scheduler.
pub type SequenceId = u64;

/// Largest number of KV blocks, for each of which the engine keeps about 24 bytes. At the usual block size they hold 256
/// million tokens, more than any GPU.
const MOST_KV_BLOCKS: usize = 1 << 24;

/// Limits of the scheduler, named after vLLM's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulerLimits {
    /// Most sequences running at once.
    pub max_num_seqs: usize,
    /// Most tokens computed in one step.
    pub max_num_batched_tokens: usize,
    /// Most tokens of prompt and output together in one sequence.
    pub max_model_len: usize,
    /// Tokens per KV block.
    pub block_size: usize,
    /// Number of KV blocks.
    pub num_kv_blocks: usize,
    /// Whether equal prefixes share blocks.
    pub enable_prefix_caching: bool,
}

impl SchedulerLimits {
    /// Describes why these limits are invalid; `None` for valid ones.
    pub fn problem(&self) -> Option<String> {
        let positive = [
            ("max_num_seqs", self.max_num_seqs),
            ("max_num_batched_tokens", self.max_num_batched_tokens),
            ("max_model_len", self.max_model_len),
            ("block_size", self.block_size),
        ];
        if let Some((name, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Some(format!("{name} must be at least 1"));
        }
        if self.num_kv_blocks > MOST_KV_BLOCKS {
            return Some(format!("num_kv_blocks must be at most {MOST_KV_BLOCKS}"));
        }
        // A single sequence must always fit, or it would be preempted forever.
        let capacity = self.num_kv_blocks.saturating_mul(self.block_size);
        (capacity < self.max_model_len).then(|| {
            format!(
                "{} KV blocks of {} tokens hold {capacity} tokens, fewer than max_model_len = {}",
                self.num_kv_blocks, self.block_size, self.max_model_len
            )
        })
    }
}

/// A sequence to be generated.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// Its id; must not be in use.
    pub id: SequenceId,
    /// Prompt tokens; an empty prompt counts as one token.
    pub prompt: Arc<[u32]>,
    /// Where its output tokens come from.
    pub stream: TokenStream,
    /// Tokens to generate; at least 1.
    pub output_tokens: u32,
    /// The reason why it ends then.
    pub finish: FinishReason,
}

/// One token that the engine emits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenEvent {
    /// The sequence of the token.
    pub sequence: SequenceId,
    /// Index of the token in the output, from 0.
    pub index: u32,
    /// Set on the last token.
    pub finish: Option<FinishReason>,
    /// Prompt tokens that came from the prefix cache when the sequence was first admitted.
    pub cached_prompt_tokens: usize,
}

/// Counters since the start of the scheduler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Prompt tokens looked up in the prefix cache.
    pub prefix_queries: u64,
    /// Prompt tokens found there.
    pub prefix_hits: u64,
    /// Sequences preempted.
    pub preemptions: u64,
}

#[derive(Debug)]
struct QueuedSequence {
    sequence: Sequence,
    generated: u32,
    /// Tokens (prompt, then output) whose KV is in `blocks`.
    computed: usize,
    blocks: Vec<BlockId>,
    /// Hashes of the full blocks of prompt and output known so far.
    hashes: Vec<BlockHash>,
    /// Of `hashes`, how many are published in the pool for the blocks held now.
    published: usize,
    /// Tokens to compute in the current step.
    scheduled: usize,
    cached_at_admission: Option<usize>,
}

impl QueuedSequence {
    fn prompt_len(&self) -> usize {
        self.sequence.prompt.len().max(1)
    }

    /// Tokens known so far; all but the last must be in the KV cache to produce the next.
    fn len(&self) -> usize {
        self.prompt_len() + self.generated as usize
    }

    fn token(&self, position: usize) -> u32 {
        match position.checked_sub(self.prompt_len()) {
            Some(output) => self.sequence.stream.id(output as u32),
            None => self.sequence.prompt.get(position).copied().unwrap_or(0),
        }
    }

    /// Extends `hashes` to every full block among the known tokens.
    fn hash_full_blocks(&mut self, block_size: usize) {
        let mut tokens = Vec::new();
        while (self.hashes.len() + 1) * block_size <= self.len() {
            let start = self.hashes.len() * block_size;
            tokens.clear();
            tokens.extend((start..start + block_size).map(|position| self.token(position)));
            let parent = self.hashes.last().copied();
            self.hashes.push(BlockHash::chain(parent, &tokens));
        }
    }
}

/// The waiting and running queues and the KV cache of one engine.
#[derive(Debug)]
pub struct Scheduler {
    limits: SchedulerLimits,
    pool: BlockPool,
    waiting: VecDeque<QueuedSequence>,
    running: Vec<QueuedSequence>,
    /// Sequences scheduled for the first time in the current step.
    admitted: Vec<SequenceId>,
    totals: Totals,
}

impl Scheduler {
    /// Creates an idle scheduler. `limits` are not checked; see [`SchedulerLimits::problem`].
    pub fn new(limits: SchedulerLimits) -> Scheduler {
        let pool = BlockPool::new(
            limits.num_kv_blocks,
            limits.block_size,
            limits.enable_prefix_caching,
        );
        Scheduler {
            limits,
            pool,
            waiting: VecDeque::new(),
            running: Vec::new(),
            admitted: Vec::new(),
            totals: Totals::default(),
        }
    }

    /// Queues a sequence behind those already waiting.
    pub fn submit(&mut self, sequence: Sequence) {
        self.waiting.push_back(QueuedSequence {
            sequence,
            generated: 0,
            computed: 0,
            blocks: Vec::new(),
            hashes: Vec::new(),
            published: 0,
            scheduled: 0,
            cached_at_admission: None,
        });
    }

    /// Drops a sequence, waiting or running, and frees its blocks. Returns `false` if it is unknown.
    pub fn abort(&mut self, id: SequenceId) -> bool {
        let is_it = |entry: &QueuedSequence| entry.sequence.id == id;
        if let Some(at) = self.running.iter().position(is_it) {
            let mut entry = self.running.remove(at);
            self.pool.release(&mut entry.blocks);
            return true;
        }
        let at = self.waiting.iter().position(is_it);
        at.and_then(|at| self.waiting.remove(at)).is_some()
    }

    /// Sequences scheduled for the first time in the current step.
    pub fn admitted(&self) -> &[SequenceId] {
        &self.admitted
    }

    /// Sequences running.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Sequences waiting.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Share of KV blocks in use, 0 to 1.
    pub fn kv_usage(&self) -> f64 {
        self.pool.usage()
    }

    /// KV blocks in use.
    pub fn kv_blocks_used(&self) -> usize {
        self.pool.total() - self.pool.free()
    }

    /// Counters since the start.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Selects the work of the next step; `None` if there is none.
    pub fn schedule(&mut self) -> Option<StepLoad> {
        self.admitted.clear();
        let mut budget = self.limits.max_num_batched_tokens;
        let preempted = self.schedule_running(&mut budget);
        if !preempted {
            self.admit_waiting(&mut budget);
        }
        let mut load = StepLoad::default();
        for entry in self.running.iter().filter(|entry| entry.scheduled > 0) {
            load.sequences += 1;
            load.context_tokens += entry.computed as u64;
            // A decode computes the one token generated last; all else is prefill.
            let is_decode = entry.scheduled == 1 && entry.computed >= entry.prompt_len();
            if !is_decode {
                load.prefill_tokens += entry.scheduled as u64;
            }
        }
        (load.sequences > 0).then_some(load)
    }

    /// Schedules running sequences. Returns whether one had to be preempted.
    fn schedule_running(&mut self, budget: &mut usize) -> bool {
        let mut preempted = false;
        let mut at = 0;
        while at < self.running.len() && *budget > 0 {
            let entry = &mut self.running[at];
            let wanted = (entry.len() - entry.computed).min(*budget);
            let needed = self.pool.blocks_for(entry.computed + wanted);
            let missing = needed.saturating_sub(entry.blocks.len());
            if self.pool.allocate(missing, &mut entry.blocks) {
                entry.scheduled = wanted;
                *budget -= wanted;
                at += 1;
            } else {
                // Preempts the sequence admitted last, which may be this one.
                self.preempt_last();
                preempted = true;
            }
        }
        preempted
    }

    /// Sends the last admitted sequence, which has no work in this step yet, back
    /// to the head of the queue.
    fn preempt_last(&mut self) {
        if let Some(mut entry) = self.running.pop() {
            self.pool.release(&mut entry.blocks);
            entry.computed = 0;
            entry.published = 0;
            self.totals.preemptions += 1;
            self.waiting.push_front(entry);
        }
    }

    fn admit_waiting(&mut self, budget: &mut usize) {
        while *budget > 0 && self.running.len() < self.limits.max_num_seqs {
            let Some(mut entry) = self.waiting.pop_front() else {
                return;
            };
            if self.admit(&mut entry, budget) {
                self.running.push(entry);
            } else {
                self.waiting.push_front(entry);
                return;
            }
        }
    }

    /// Allocates blocks for `entry`'s first chunk. Returns `false`, without a change, if they do not fit.
    fn admit(&mut self, entry: &mut QueuedSequence, budget: &mut usize) -> bool {
        let block_size = self.pool.block_size();
        if self.limits.enable_prefix_caching {
            entry.hash_full_blocks(block_size);
        }
        // The last token is always computed: its output is the next token.
        let usable = ((entry.len() - 1) / block_size).min(entry.hashes.len());
        let hits = self.pool.cached_prefix(&entry.hashes[..usable]);
        let hit_tokens = hits * block_size;
        let wanted = (entry.len() - hit_tokens).min(*budget);
        let fresh = self.pool.blocks_for(hit_tokens + wanted) - hits;
        if fresh + self.pool.idle_among(&entry.hashes[..hits]) > self.pool.free() {
            return false;
        }
        self.pool
            .hold_cached(&entry.hashes[..hits], &mut entry.blocks);
        if !self.pool.allocate(fresh, &mut entry.blocks) {
            self.pool.release(&mut entry.blocks);
            return false;
        }
        entry.computed = hit_tokens;
        entry.published = hits;
        entry.scheduled = wanted;
        *budget -= wanted;
        if entry.cached_at_admission.is_none() {
            entry.cached_at_admission = Some(hit_tokens);
            self.admitted.push(entry.sequence.id);
            self.totals.prefix_queries += entry.len() as u64;
            self.totals.prefix_hits += hit_tokens as u64;
        }
        true
    }

    /// Ends the step: appends to `events` each token it produced, in order of admission.
    pub fn complete(&mut self, events: &mut Vec<TokenEvent>) {
        let block_size = self.pool.block_size();
        let caching = self.limits.enable_prefix_caching;
        let mut any_finished = false;
        for entry in &mut self.running {
            entry.computed += std::mem::take(&mut entry.scheduled);
            if caching {
                let full = (entry.computed / block_size).min(entry.hashes.len());
                for block in entry.published..full {
                    self.pool.publish(entry.blocks[block], entry.hashes[block]);
                }
                entry.published = entry.published.max(full);
            }
            if entry.computed < entry.len() {
                continue;
            }
            let index = entry.generated;
            entry.generated += 1;
            if caching && entry.len().is_multiple_of(block_size) {
                entry.hash_full_blocks(block_size);
            }
            let last = entry.generated >= entry.sequence.output_tokens;
            any_finished |= last;
            events.push(TokenEvent {
                sequence: entry.sequence.id,
                index,
                finish: last.then_some(entry.sequence.finish),
                cached_prompt_tokens: entry.cached_at_admission.unwrap_or(0),
            });
        }
        if any_finished {
            let pool = &mut self.pool;
            self.running.retain_mut(|entry| {
                let finished = entry.generated >= entry.sequence.output_tokens;
                if finished {
                    pool.release(&mut entry.blocks);
                }
                !finished
            });
        }
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
