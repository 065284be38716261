//! The scheduler stepped without a clock.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::engine_core::EngineCore;
use super::super::preset::Preset;
use super::super::step_time::Slowdown;
use super::super::text::tests::small_vocabulary;
use super::*;

const ROOMY: SchedulerLimits = SchedulerLimits {
    max_num_seqs: 8,
    max_num_batched_tokens: 64,
    max_model_len: 512,
    block_size: 4,
    num_kv_blocks: 1024,
    enable_prefix_caching: true,
};

fn sequence(id: SequenceId, prompt: Vec<u32>, output_tokens: u32) -> Sequence {
    Sequence {
        id,
        prompt: prompt.into(),
        stream: TokenStream::new(id, small_vocabulary()),
        output_tokens,
        finish: FinishReason::Length,
    }
}

/// A prompt that shares no prefix with that of another `id`.
fn own_prompt(id: SequenceId, length: usize) -> Vec<u32> {
    (0..length as u32).map(|k| k ^ (id as u32) << 16).collect()
}

/// Steps until nothing is left; each event with the number of its step.
fn run(scheduler: &mut Scheduler) -> Vec<(usize, TokenEvent)> {
    let mut all = Vec::new();
    let mut step = 0;
    while scheduler.schedule().is_some() {
        let mut events = Vec::new();
        scheduler.complete(&mut events);
        all.extend(events.into_iter().map(|event| (step, event)));
        step += 1;
        assert!(step < 100_000, "the scheduler makes no progress");
    }
    all
}

/// Every sequence got exactly its tokens, in order, the last one marked.
fn assert_each_token_once(events: &[(usize, TokenEvent)], expected: &HashMap<SequenceId, u32>) {
    let mut next: HashMap<SequenceId, u32> = HashMap::new();
    for (_, event) in events {
        let index = next.entry(event.sequence).or_default();
        assert_eq!(event.index, *index, "{event:?}");
        *index += 1;
        assert_eq!(
            event.finish.is_some(),
            *index == expected[&event.sequence],
            "{event:?}"
        );
    }
    assert_eq!(&next, expected);
}

#[test]
fn a_long_prompt_is_computed_in_chunks_of_the_budget() {
    let mut scheduler = Scheduler::new(ROOMY);
    scheduler.submit(sequence(1, own_prompt(1, 150), 2));
    let mut loads = Vec::new();
    while let Some(load) = scheduler.schedule() {
        loads.push((load.prefill_tokens, load.context_tokens));
        scheduler.complete(&mut Vec::new());
    }
    assert_eq!(loads, [(64, 0), (64, 64), (22, 128), (0, 150)]);
}

#[test]
fn decodes_come_before_prefill_in_the_budget() {
    let mut scheduler = Scheduler::new(ROOMY);
    scheduler.submit(sequence(1, own_prompt(1, 4), 10));
    scheduler.schedule();
    scheduler.complete(&mut Vec::new());
    scheduler.submit(sequence(2, own_prompt(2, 100), 1));
    let load = scheduler.schedule().expect("work");
    assert_eq!((load.sequences, load.prefill_tokens), (2, 63));
}

#[test]
fn no_more_than_max_num_seqs_run() {
    let mut scheduler = Scheduler::new(SchedulerLimits {
        max_num_seqs: 3,
        ..ROOMY
    });
    (0..10).for_each(|id| scheduler.submit(sequence(id, own_prompt(id, 5), 5)));
    scheduler.schedule();
    assert_eq!((scheduler.running(), scheduler.waiting()), (3, 7));
}

#[test]
fn an_equal_prompt_is_served_from_the_prefix_cache() {
    let mut scheduler = Scheduler::new(ROOMY);
    scheduler.submit(sequence(1, own_prompt(9, 33), 3));
    run(&mut scheduler);
    scheduler.submit(sequence(2, own_prompt(9, 33), 3));
    let load = scheduler.schedule().expect("work");
    // 8 full blocks of 4 are found; the 33rd token is computed.
    assert_eq!((load.prefill_tokens, load.context_tokens), (1, 32));
    let mut events = Vec::new();
    scheduler.complete(&mut events);
    assert_eq!(events[0].cached_prompt_tokens, 32);
    let totals = scheduler.totals();
    assert_eq!((totals.prefix_queries, totals.prefix_hits), (66, 32));
}

#[test]
fn a_fully_cached_prompt_still_computes_its_last_block() {
    let mut scheduler = Scheduler::new(ROOMY);
    for id in 1..=2 {
        scheduler.submit(sequence(id, own_prompt(9, 32), 1));
        run(&mut scheduler);
    }
    assert_eq!(scheduler.totals().prefix_hits, 28);
}

#[test]
fn sequences_are_preempted_when_blocks_run_out_and_still_finish() {
    let limits = SchedulerLimits {
        num_kv_blocks: 16,
        max_model_len: 64,
        ..ROOMY
    };
    let mut scheduler = Scheduler::new(limits);
    // Each grows to 8 + 40 tokens = 12 blocks; two of them do not fit in 16.
    (0..3).for_each(|id| scheduler.submit(sequence(id, own_prompt(id, 8), 40)));
    let events = run(&mut scheduler);
    assert!(scheduler.totals().preemptions > 0);
    assert_each_token_once(&events, &HashMap::from([(0, 40), (1, 40), (2, 40)]));
    assert_eq!(scheduler.kv_blocks_used(), 0);
}

#[test]
fn aborting_frees_the_blocks_wherever_the_sequence_is() {
    let mut scheduler = Scheduler::new(SchedulerLimits {
        max_num_seqs: 1,
        ..ROOMY
    });
    scheduler.submit(sequence(1, own_prompt(1, 20), 50));
    scheduler.submit(sequence(2, own_prompt(2, 20), 50));
    scheduler.schedule();
    assert!(scheduler.abort(1), "running, in the middle of a step");
    let mut events = Vec::new();
    scheduler.complete(&mut events);
    assert_eq!(events, []);
    assert!(scheduler.abort(2), "waiting");
    assert!(!scheduler.abort(2), "gone");
    assert_eq!(
        (scheduler.kv_blocks_used(), scheduler.schedule()),
        (0, None)
    );
}

#[test]
fn limits_that_cannot_work_are_explained() {
    let table = [
        (
            SchedulerLimits {
                max_num_seqs: 0,
                ..ROOMY
            },
            "max_num_seqs",
        ),
        (
            SchedulerLimits {
                num_kv_blocks: 4,
                ..ROOMY
            },
            "16 tokens, fewer than max_model_len",
        ),
    ];
    for (limits, words) in table {
        let problem = limits.problem().expect("unusable");
        assert!(problem.contains(words), "{problem}");
    }
    assert_eq!(ROOMY.problem(), None);
}

/// Steps with step times drawn from `seed`; when each token leaves, in ns.
fn truth(workload: &[(usize, u32)], seed: u64) -> Vec<(SequenceId, u32, u64)> {
    let mut preset = Preset::named("sim-small").expect("shipped");
    preset.scheduler = ROOMY;
    let noise = "step=0.1,drift=0.1:1,run=0.1,stall=10:5".parse();
    let mut core = EngineCore::new(
        &preset,
        noise.expect("valid"),
        Slowdown::NONE,
        seed.into(),
        0,
    );
    for (id, (prompt, output)) in (0..).zip(workload) {
        core.submit(0, sequence(id, own_prompt(id, *prompt), *output));
    }
    let (mut now_ns, mut emitted) = (0, Vec::new());
    while let Some(step_ns) = core.begin_step(now_ns) {
        now_ns += step_ns;
        let mut events = Vec::new();
        core.end_step(&mut events);
        emitted.extend(events.iter().map(|e| (e.sequence, e.index, now_ns)));
    }
    emitted
}

fn workloads() -> impl Strategy<Value = Vec<(usize, u32)>> {
    prop::collection::vec((0usize..60, 1u32..40), 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn no_token_is_lost_or_doubled_and_every_block_is_freed(
        workload in workloads(),
        num_kv_blocks in 26usize..80,
        budget in 1usize..100,
        max_num_seqs in 1usize..10,
        enable_prefix_caching: bool,
        shared_prompts: bool,
        aborts in prop::collection::vec(0u64..24, 0..6),
    ) {
        let limits = SchedulerLimits {
            max_num_seqs,
            max_num_batched_tokens: budget,
            max_model_len: 104,
            num_kv_blocks,
            enable_prefix_caching,
            ..ROOMY
        };
        prop_assert_eq!(limits.problem(), None);
        let mut scheduler = Scheduler::new(limits);
        let mut expected = HashMap::new();
        for (id, (prompt, output)) in (0u64..).zip(&workload) {
            let content = if shared_prompts { id % 3 } else { id };
            scheduler.submit(sequence(id, own_prompt(content, *prompt), *output));
            expected.insert(id, *output);
        }
        for id in aborts {
            // Some are aborted while they run, in the middle of a step.
            scheduler.schedule();
            if scheduler.abort(id) {
                expected.remove(&id);
            }
            let mut events = Vec::new();
            scheduler.complete(&mut events);
            for event in events {
                // Not of interest here: the check below wants untouched sequences.
                expected.remove(&event.sequence);
            }
        }
        let events: Vec<_> = run(&mut scheduler)
            .into_iter()
            .filter(|(_, event)| expected.contains_key(&event.sequence))
            .collect();
        assert_each_token_once(&events, &expected);
        prop_assert_eq!(scheduler.kv_blocks_used(), 0);
        prop_assert_eq!((scheduler.running(), scheduler.waiting()), (0, 0));
    }

    #[test]
    fn first_tokens_leave_in_order_of_arrival(
        workload in workloads(),
        num_kv_blocks in 26usize..80,
        budget in 1usize..100,
    ) {
        let limits = SchedulerLimits {
            max_num_batched_tokens: budget,
            max_model_len: 104,
            num_kv_blocks,
            ..ROOMY
        };
        let mut scheduler = Scheduler::new(limits);
        for (id, (prompt, output)) in (0u64..).zip(&workload) {
            scheduler.submit(sequence(id, own_prompt(id, *prompt), *output));
        }
        let firsts: Vec<SequenceId> = run(&mut scheduler)
            .iter()
            .filter(|(_, event)| event.index == 0)
            .map(|(_, event)| event.sequence)
            .collect();
        prop_assert_eq!(firsts, (0..workload.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn equal_seeds_give_equal_truth(workload in workloads(), seed: u64) {
        prop_assert_eq!(truth(&workload, seed), truth(&workload, seed));
        prop_assert_ne!(truth(&workload, seed), truth(&workload, seed ^ 1));
    }
}
