use std::{collections::HashSet, time::Instant};

use super::*;
use crate::config::PrefixCache;
use crate::prompt::{TokenCounter, testing};

const LENGTHS: [usize; 8] = [1, 2, 5, 17, 25, 100, 1000, 4000];

fn source(
    length: usize,
    prefix_cache: PrefixCache,
    seed: u64,
    counter: &Arc<TokenCounter>,
) -> Result<Arc<dyn PromptSource>, PromptError> {
    RandomTokens(NonZeroUsize::new(length).unwrap()).source(&SourceOptions {
        max_model_len: None,
        prefix_cache,
        seed,
        counter,
    })
}

fn ids(counter: &TokenCounter, text: &str) -> Vec<u32> {
    counter.token_ids(text, SpecialTokens::Added).unwrap()
}

#[test]
fn prompts_have_exactly_the_requested_length() {
    for counter in testing::counters() {
        let special = words_of(&counter).unwrap().special_tokens;
        for length in LENGTHS.into_iter().filter(|&length| length > special) {
            for policy in [
                PrefixCache::Bust,
                PrefixCache::Allow,
                PrefixCache::Shared(0.0),
                PrefixCache::Shared(0.3),
                PrefixCache::Shared(0.99),
                PrefixCache::Shared(1.0),
            ] {
                let source = source(length, policy, 11, &counter).unwrap();
                for index in [0, 1, 2, u64::MAX] {
                    let request = source.request(index).unwrap();
                    assert_eq!(request.prompt_tokens, length);
                    assert_eq!(
                        ids(&counter, &request.prompt).len(),
                        length,
                        "{policy:?} {index}: {}",
                        request.prompt
                    );
                }
            }
        }
    }
}

#[test]
fn a_length_that_special_tokens_use_up_is_a_clear_error() {
    let counter = Arc::new(TokenCounter::shipped().unwrap());
    let error = source(1, PrefixCache::Bust, 0, &counter).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("1 special token"), "{text}");
    assert!(text.contains("RANDOM_PROMPT_LENGTH to 2"), "{text}");
}

#[test]
fn a_fraction_out_of_range_is_a_clear_error() {
    let counter = Arc::new(TokenCounter::shipped().unwrap());
    for fraction in [-0.1, 1.5, f64::NAN] {
        let error = source(10, PrefixCache::Shared(fraction), 0, &counter).unwrap_err();
        assert!(error.to_string().contains("PREFIX_CACHE"), "{error}");
    }
}

#[test]
fn busting_prompts_differ_within_the_first_block() {
    let counter = Arc::new(TokenCounter::shipped().unwrap());
    for length in [4, 16, 100] {
        let source = source(length, PrefixCache::Bust, 5, &counter).unwrap();
        let starts: HashSet<Vec<u32>> = (0..2_000)
            .map(|index| {
                let mut ids = ids(&counter, &source.request(index).unwrap().prompt);
                ids.truncate(16);
                ids
            })
            .collect();
        assert_eq!(starts.len(), 2_000, "{length} tokens");
    }
}

#[test]
fn prompts_follow_from_seed_and_index() {
    for counter in testing::counters() {
        let first = source(30, PrefixCache::Bust, 8, &counter).unwrap();
        let again = source(30, PrefixCache::Bust, 8, &counter).unwrap();
        let other = source(30, PrefixCache::Bust, 9, &counter).unwrap();
        // In another order, so that nothing depends on earlier calls.
        let expected: Vec<_> = (0..20).map(|i| first.request(i).unwrap()).collect();
        for i in (0..20).rev() {
            assert_eq!(again.request(i).unwrap(), expected[i as usize]);
            assert_ne!(other.request(i).unwrap(), expected[i as usize]);
        }
    }
}

#[test]
fn words_are_vocabulary_entries_of_more_than_two_ascii_characters() {
    let counter = Arc::new(TokenCounter::shipped().unwrap());
    let source = source(300, PrefixCache::Bust, 3, &counter).unwrap();
    let prompt = source.request(0).unwrap().prompt;
    // One token is the begin-of-text token; every word is one token.
    assert_eq!(prompt.split(' ').count(), 299);
    assert!(
        prompt
            .split(' ')
            .all(|word| word.is_ascii() && word.len() > 2)
    );
}

#[test]
fn the_same_prompt_comes_every_time_if_the_cache_may_answer() {
    let counter = Arc::new(testing::metaspace());
    let source = source(40, PrefixCache::Allow, 3, &counter).unwrap();
    assert_eq!(source.request(0).unwrap(), source.request(1_000).unwrap());
}

#[test]
fn a_shared_start_is_shared_in_tokens_and_no_more_than_it() {
    for counter in testing::counters() {
        for (length, fraction, shared) in [(100, 0.5, 50), (1000, 0.25, 250), (10, 0.31, 3)] {
            let source = source(length, PrefixCache::Shared(fraction), 21, &counter).unwrap();
            let first = ids(&counter, &source.request(0).unwrap().prompt);
            for index in 1..50 {
                let other = ids(&counter, &source.request(index).unwrap().prompt);
                let same = first.iter().zip(&other).take_while(|(a, b)| a == b).count();
                assert!((shared..shared + 12).contains(&same), "{same} for {shared}");
            }
        }
    }
}

#[test]
fn a_prompt_takes_little_time_with_a_local_tokenizer() {
    let counter = Arc::new(TokenCounter::shipped().unwrap());
    let source = source(1000, PrefixCache::Bust, 1, &counter).unwrap();
    let started = Instant::now();
    for index in 0..20 {
        source.request(index).unwrap();
    }
    let each = started.elapsed() / 20;
    println!("{each:?} per prompt of 1000 tokens");
    // Some milliseconds at most when optimised; the bound only rules out a quadratic search.
    assert!(each.as_millis() < 1_000, "{each:?}");
}

#[test]
fn a_background_thread_can_make_prompts_ahead_of_the_load() {
    let counter = Arc::new(TokenCounter::shipped().unwrap());
    let source = source(50, PrefixCache::Bust, 1, &counter).unwrap();
    let here = source.request(3).unwrap();
    let there = std::thread::scope(|scope| scope.spawn(|| source.request(3)).join().unwrap());
    assert_eq!(there.unwrap(), here);
}
