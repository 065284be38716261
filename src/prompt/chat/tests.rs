use std::collections::HashSet;

use super::*;
use crate::prompt::{PromptSource, testing};

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
fn built_in_questions_have_about_their_names_length() {
    let counter = TokenCounter::shipped().unwrap();
    let questions = Questions::built_in().unwrap();
    let keys: Vec<&str> = questions.all().iter().map(|q| q.key.as_str()).collect();
    assert_eq!(keys, ["5", "25", "50", "100", "500", "1k", "2k", "4k"]);
    for question in questions.all() {
        let named: usize = question.key.replace('k', "000").parse().unwrap();
        let count = counter.count(&question.text, SpecialTokens::None).unwrap();
        let allowed = (named / 50).max(2);
        assert!(
            count.abs_diff(named) <= allowed,
            "{}: {count}",
            question.key
        );
    }
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
                let source = PromptSource::chat(&question, policy, 2, &counter).unwrap();
                assert_eq!(source.tokens(), tokens);
                for index in 0..2 {
                    let prompt = source.prompt(index).unwrap();
                    assert_eq!(prompt.tokens, tokens);
                    let counted = ids(&counter, &prompt.text).len();
                    assert_eq!(counted, tokens, "{policy:?}: {}", prompt.text);
                }
            }
        }
    }
}

#[test]
fn busting_prompts_differ_within_the_first_block_and_keep_the_rest() {
    let counter = Arc::new(TokenCounter::shipped().unwrap());
    for question in Questions::built_in().unwrap().all().iter().take(5) {
        let source = PromptSource::chat(&question.text, PrefixCache::Bust, 6, &counter).unwrap();
        let whole = ids(&counter, &question.text);
        let mut starts = HashSet::new();
        for index in 0..500 {
            let mut prompt = ids(&counter, &source.prompt(index).unwrap().text);
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
        let make = |seed| PromptSource::chat(question, policy, seed, &counter).unwrap();
        let (first, again, other) = (make(1), make(1), make(2));
        for index in [3, 0, 77] {
            assert_eq!(first.prompt(index).unwrap(), again.prompt(index).unwrap());
            assert_ne!(first.prompt(index).unwrap(), other.prompt(index).unwrap());
        }
    }
}

#[test]
fn questions_that_begin_alike_get_different_heads() {
    let counter = Arc::new(TokenCounter::shipped().unwrap());
    let questions = Questions::built_in().unwrap();
    let starts: HashSet<Vec<u32>> = ["500", "1k", "2k", "4k"]
        .iter()
        .flat_map(|key| {
            let text = &questions.get(key).unwrap().text;
            let source = PromptSource::chat(text, PrefixCache::Bust, 6, &counter).unwrap();
            let counter = Arc::clone(&counter);
            (0..50).map(move |i| ids(&counter, &source.prompt(i).unwrap().text)[..16].to_vec())
        })
        .collect();
    assert_eq!(starts.len(), 200);
}

#[test]
fn the_question_is_sent_unchanged_if_the_cache_may_answer() {
    let counter = Arc::new(testing::single_letters());
    let source = PromptSource::chat("how is it", PrefixCache::Allow, 1, &counter).unwrap();
    assert_eq!(source.prompt(9).unwrap().text, "how is it");
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
    let source = PromptSource::chat(&text, PrefixCache::Shared(0.5), 4, &counter).unwrap();
    let whole = ids(&counter, &text);
    let first = ids(&counter, &source.prompt(0).unwrap().text);
    assert_eq!(first[..245], whole[..245]);
    for index in 1..100 {
        let other = ids(&counter, &source.prompt(index).unwrap().text);
        let same = first.iter().zip(&other).take_while(|(a, b)| a == b).count();
        assert!((250..262).contains(&same), "{same}");
    }
}

#[test]
fn an_empty_question_is_a_clear_error() {
    let counter = Arc::new(TokenCounter::shipped().unwrap());
    for question in ["", "  \n"] {
        let error = PromptSource::chat(question, PrefixCache::Bust, 1, &counter).unwrap_err();
        assert!(matches!(error, PromptError::Empty), "{error}");
    }
}

#[test]
fn files_are_read_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("input.jsonl");
    fs::write(
        &path,
        "\u{feff}{\n \"z\": \"Last first?\",\n \"1k\": \"Long?\", \"a\": \"x\"}\n",
    )
    .unwrap();
    let questions = Questions::from_file(&path).unwrap();
    let keys: Vec<&str> = questions.all().iter().map(|q| q.key.as_str()).collect();
    assert_eq!(keys, ["z", "1k", "a"]);
    let picked = questions.select(&["a".to_owned(), "z".to_owned()]).unwrap();
    assert_eq!(picked[1].text, "Last first?");
}

#[test]
fn errors_name_file_and_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("input.jsonl");
    for (content, expected) in [
        ("{\"5\": \"a\"", "not JSON"),
        ("{\"5\": \"a\"}\n{\"25\": \"b\"}", "not JSON"),
        ("[\"a\"]", "is a list"),
        ("{}", "no question"),
        ("{\"5\": \"a\", \"25\": 7}", "key \"25\": found a number"),
        ("{\"5\": \" \"}", "key \"5\": found an empty text"),
    ] {
        fs::write(&path, content).unwrap();
        let text = Questions::from_file(&path).unwrap_err().to_string();
        assert!(text.contains(expected), "{content}: {text}");
        assert!(text.contains("input.jsonl"), "{text}");
    }
    let missing = directory.path().join("nowhere.json");
    let text = Questions::from_file(&missing).unwrap_err().to_string();
    assert!(
        text.contains("nowhere.json") && text.contains("INPUT_FILE"),
        "{text}"
    );
}

#[test]
fn a_missing_key_lists_those_that_exist() {
    let text = Questions::built_in()
        .unwrap()
        .get("3k")
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("\"3k\"") && text.contains("5, 25, 50, 100"),
        "{text}"
    );
}
