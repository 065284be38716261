use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::dialect::{ChatCompletions, Completions};
use crate::prompt::testing;
use crate::prompt::tokenizer::TokenCounter;

struct Setup<'a> {
    law: &'a str,
    dialect: &'static dyn Dialect,
    policy: PrefixCache,
    seed: u64,
    max_model_len: Option<u64>,
}

const SETUP: Setup<'static> = Setup {
    law: "N(40,30)/(20,10)",
    dialect: &Completions,
    policy: PrefixCache::Bust,
    seed: 7,
    max_model_len: None,
};

fn source(
    counter: &Arc<TokenCounter>,
    setup: Setup<'_>,
) -> Result<Arc<dyn PromptSource>, PromptError> {
    let law = serde_json::from_str(setup.law).unwrap_or(json!(setup.law));
    let kind = MixedLengths {
        law: PairOfLengths::parse(&law).unwrap(),
        dialect: setup.dialect,
    };
    kind.source(&SourceOptions {
        prefix_cache: setup.policy,
        seed: setup.seed,
        max_model_len: setup.max_model_len,
        counter,
    })
}

fn shipped() -> Arc<TokenCounter> {
    Arc::new(TokenCounter::shipped().unwrap())
}

fn lengths(source: &dyn PromptSource, indices: impl Iterator<Item = u64>) -> Vec<(usize, u32)> {
    let requests = indices.map(|index| source.request(index).unwrap());
    let lengths = requests.map(|r| (r.prompt_tokens, r.output_tokens.unwrap().get()));
    lengths.collect()
}

#[test]
fn every_prompt_has_exactly_the_drawn_number_of_tokens() {
    let policies = [
        PrefixCache::Bust,
        PrefixCache::Allow,
        PrefixCache::Shared(0.4),
    ];
    for counter in testing::counters() {
        for policy in policies {
            for (dialect, special) in [
                (&Completions as &'static dyn Dialect, SpecialTokens::Added),
                (&ChatCompletions, SpecialTokens::None),
            ] {
                let law = r#"{"input": {"uniform": [2, 90]}, "output": 5}"#;
                let setup = Setup {
                    law,
                    policy,
                    dialect,
                    ..SETUP
                };
                let source = source(&counter, setup).unwrap();
                assert_eq!(source.warning(), None);
                for index in (0..100).chain([u64::MAX]) {
                    let request = source.request(index).unwrap();
                    let counted = counter.count(&request.prompt, special).unwrap();
                    assert_eq!(
                        counted, request.prompt_tokens,
                        "{policy:?} {}",
                        request.prompt
                    );
                }
            }
        }
    }
}

#[test]
fn lengths_are_the_same_for_every_seed_level_and_side_but_no_prompt_is() {
    let counter = shipped();
    let source_of = |seed| {
        source(
            &counter,
            Setup {
                seed,
                law: "N(90,20)/(20,10)",
                ..SETUP
            },
        )
        .unwrap()
    };
    let (first, other) = (source_of(1), source_of(2));
    let expected = lengths(&*first, 0..200);
    assert!(expected.iter().collect::<HashSet<_>>().len() > 100);
    assert_eq!(lengths(&*other, 0..200), expected);
    let second_side = (0..200).map(|index| (3 << 32) + (1 << 31) + index);
    assert_eq!(lengths(&*first, second_side), expected);
    let prompts = |source: &dyn PromptSource, from: u64| {
        let prompts = (from..from + 200).map(|index| source.request(index).unwrap().prompt);
        prompts.collect::<Vec<_>>()
    };
    let all = [
        prompts(&*first, 0),
        prompts(&*first, 1 << 31),
        prompts(&*other, 0),
    ]
    .concat();
    let starts = all.iter().map(|text| &text[..text.len().min(60)]);
    assert_eq!(starts.collect::<HashSet<_>>().len(), 600);
    assert_eq!(prompts(&*source_of(1), 0), prompts(&*first, 0));
}

#[test]
fn prompts_share_the_part_that_the_policy_says() {
    let counter = shipped();
    let policy = PrefixCache::Shared(0.5);
    let source = source(
        &counter,
        Setup {
            policy,
            law: "200/5",
            ..SETUP
        },
    )
    .unwrap();
    let words = |index| {
        let prompt = source.request(index).unwrap().prompt;
        Vec::from_iter(prompt.split(' ').map(str::to_owned))
    };
    let first = words(0);
    for index in 1..20 {
        let other = words(index);
        let same = first.iter().zip(&other).take_while(|(a, b)| a == b).count();
        assert!((100..112).contains(&same), "{same}");
    }
}

#[test]
fn requests_that_the_model_does_not_take_are_left_out_and_counted() {
    let counter = shipped();
    let limited = |max_model_len| {
        let max_model_len = Some(max_model_len);
        source(
            &counter,
            Setup {
                max_model_len,
                law: "N(100,50)/(50,10)",
                ..SETUP
            },
        )
    };
    assert_eq!(limited(1_000).unwrap().warning(), None);
    let source = limited(150).unwrap();
    let warning = source.warning().unwrap();
    let count: usize = warning.split(' ').next().unwrap().parse().unwrap();
    assert!(
        (400..600).contains(&count),
        "about half are longer: {warning}"
    );
    assert!(warning.contains("max_model_len of 150 tokens"), "{warning}");
    let all = lengths(&*source, 0..500);
    assert!(
        all.iter()
            .all(|(input, output)| input + *output as usize <= 150)
    );
    let error = limited(10).unwrap_err().to_string();
    assert!(error.contains("max_model_len of 10"), "{error}");
}

#[test]
fn the_time_of_a_prompt_grows_with_its_length_alone() {
    // The same number of tokens in all, so that other processes slow down both alike.
    let prompts = [(1_000, 160), (8_000, 20)].map(|(tokens, count)| {
        let law = format!("{tokens}/1");
        let source = source(&shipped(), Setup { law: &law, ..SETUP }).unwrap();
        (source, count)
    });
    let time = |(source, count): &(Arc<dyn PromptSource>, u64)| {
        let started = Instant::now();
        (0..*count).for_each(|index| drop(source.request(index).unwrap()));
        started.elapsed()
    };
    let mut least = [Duration::MAX; 2];
    for _ in 0..10 {
        for (least, prompts) in least.iter_mut().zip(&prompts) {
            *least = time(prompts).min(*least);
        }
    }
    let [short, long] = least;
    println!("160,000 tokens: {short:?} in prompts of 1,000 tokens, {long:?} of 8,000");
    // Equal if linear, eight times as long if quadratic.
    assert!(long < 4 * short, "{short:?} and {long:?}");
}

/// `cargo test --release --lib hundred_thousand -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn a_hundred_thousand_prompts_on_two_threads() {
    let source = source(
        &shipped(),
        Setup {
            law: "1000/1",
            ..SETUP
        },
    )
    .unwrap();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let source = &source;
            let indices = (0..100_000).skip(thread).step_by(2);
            scope.spawn(|| indices.for_each(|index| drop(source.request(index).unwrap())));
        }
    });
    println!("{:?}", started.elapsed());
}
