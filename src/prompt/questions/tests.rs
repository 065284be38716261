use super::*;
use crate::prompt::{SpecialTokens, TokenCounter};

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
fn a_missing_key_lists_the_existing_keys() {
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
