use std::collections::HashSet;

use super::*;
use crate::config::PrefixCache;
use crate::prompt::{TokenCounter, testing};

fn source(
    question: &str,
    prefix_cache: PrefixCache,
    seed: u64,
    counter: &Arc<TokenCounter>,
) -> Result<Arc<dyn PromptSource>, PromptError> {
    ChatQuestion(question.to_owned()).source(&SourceOptions {
        max_model_len: None,
        prefix_cache,
        seed,
        counter,
    })
}

fn ids(counter: &TokenCounter, text: &str) -> Vec<u32> {
    counter.token_ids(text, SpecialTokens::None).unwrap()
}

fn questions() -> Vec<String> {
    let mut questions: Vec<String> = Questions::built_in()
        .unwrap()
        .all()
        .iter()
        .filter(|question| !matches!(question.key.as_str(), "500" | "1k" | "2k"))
        .map(|question| question.text.clone())
        .collect();
    questions.push("the".to_owned());
    questions.push("  What is this?\n\n- one\n- two\n\n\tThank you.\n".to_owned());
    questions.push("素数とは何ですか。例を三つ挙げて説明してください。".to_owned());
    questions
}

#[test]
fn every_policy_keeps_the_questions_length() {
    for counter in testing::counters() {
        for question in questions() {
            let tokens = counter.count(&question, SpecialTokens::None).unwrap();
            for policy in [
                PrefixCache::Bust,
                PrefixCache::Allow,
                PrefixCache::Shared(0.0),
                PrefixCache::Shared(0.4),
                PrefixCache::Shared(0.95),
                PrefixCache::Shared(1.0),
            ] {
                let source = source(&question, policy, 2, &counter).unwrap();
                assert_eq!(source.lengths().prompt.rounded_mean(), tokens);
                for index in 0..2 {
                    let request = source.request(index).unwrap();
                    assert_eq!(request.prompt_tokens, tokens);
                    let counted = ids(&counter, &request.prompt).len();
                    assert_eq!(counted, tokens, "{policy:?}: {}", request.prompt);
                }
            }
        }
    }
}

#[test]
fn busting_prompts_differ_within_the_first_block_and_keep_the_rest() {
    let counter = Arc::new(TokenCounter::shipped().unwrap());
    for question in Questions::built_in().unwrap().all().iter().take(5) {
        let source = source(&question.text, PrefixCache::Bust, 6, &counter).unwrap();
        let whole = ids(&counter, &question.text);
        let mut starts = HashSet::new();
        for index in 0..500 {
            let mut prompt = ids(&counter, &source.request(index).unwrap().prompt);
            let kept = whole
                .iter()
                .rev()
                .zip(prompt.iter().rev())
                .take_while(|(a, b)| a == b);
            let replaced = whole.len() - kept.count();
            assert!(
                replaced <= 12.min(whole.len()),
                "{}: {replaced}",
                question.key
            );
            prompt.truncate(16);
            assert!(
                starts.insert(prompt),
                "{}: {index} came before",
                question.key
            );
        }
    }
}

#[test]
fn prompts_follow_from_seed_and_index() {
    let counter = Arc::new(TokenCounter::shipped().unwrap());
    let question = &Questions::built_in()
        .unwrap()
        .get("100")
        .unwrap()
        .text
        .clone();
    for policy in [PrefixCache::Bust, PrefixCache::Shared(0.5)] {
        let make = |seed| source(question, policy, seed, &counter).unwrap();
        let (first, again, other) = (make(1), make(1), make(2));
        for index in [3, 0, 77] {
            assert_eq!(first.request(index).unwrap(), again.request(index).unwrap());
            assert_ne!(first.request(index).unwrap(), other.request(index).unwrap());
        }
    }
}

#[test]
fn questions_that_start_alike_get_different_prefixes() {
    let counter = Arc::new(TokenCounter::shipped().unwrap());
    let questions = Questions::built_in().unwrap();
    let starts: HashSet<Vec<u32>> = ["500", "1k", "2k", "4k"]
        .iter()
        .flat_map(|key| {
            let text = &questions.get(key).unwrap().text;
            let source = source(text, PrefixCache::Bust, 6, &counter).unwrap();
            let counter = Arc::clone(&counter);
            (0..50).map(move |i| ids(&counter, &source.request(i).unwrap().prompt)[..16].to_vec())
        })
        .collect();
    assert_eq!(starts.len(), 200);
}

#[test]
fn the_question_is_sent_unchanged_if_the_cache_may_answer() {
    let counter = Arc::new(testing::single_letters());
    let source = source("how is it", PrefixCache::Allow, 1, &counter).unwrap();
    assert_eq!(source.request(9).unwrap().prompt, "how is it");
}

#[test]
fn a_shared_start_is_the_questions_own_and_shared_in_tokens() {
    let counter = Arc::new(TokenCounter::shipped().unwrap());
    let text = Questions::built_in()
        .unwrap()
        .get("500")
        .unwrap()
        .text
        .clone();
    let source = source(&text, PrefixCache::Shared(0.5), 4, &counter).unwrap();
    let whole = ids(&counter, &text);
    let first = ids(&counter, &source.request(0).unwrap().prompt);
    assert_eq!(first[..245], whole[..245]);
    for index in 1..100 {
        let other = ids(&counter, &source.request(index).unwrap().prompt);
        let same = first.iter().zip(&other).take_while(|(a, b)| a == b).count();
        assert!((250..262).contains(&same), "{same}");
    }
}

#[test]
fn an_empty_question_is_a_clear_error() {
    let counter = Arc::new(TokenCounter::shipped().unwrap());
    for question in ["", "  \n"] {
        let error = source(question, PrefixCache::Bust, 1, &counter).unwrap_err();
        assert!(matches!(error, PromptError::Empty), "{error}");
    }
}
