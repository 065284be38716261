use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION},
    routing::post,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use url::Url;

use super::*;
use crate::{
    config::PrefixCache,
    prompt::{
        PromptKind, PromptSource, Questions, RandomTokens, SourceOptions, TokenizerLookup, testing,
    },
};

/// A server that tokenizes with `counter`, on a runtime of its own.
struct Server {
    runtime: Runtime,
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn start(counter: TokenCounter) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let (counter, seen) = (Arc::new(counter), Arc::clone(&requests));
        let handler = move |headers: HeaderMap, Json(body): Json<Value>| async move {
            seen.fetch_add(1, Ordering::Relaxed);
            tokenize(&counter, &headers, &body)
        };
        Self::serve(Router::new().route("/tokenize", post(handler)), requests)
    }

    fn serve(router: Router, requests: Arc<AtomicUsize>) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async { axum::serve(listener, router).await });
        Self {
            runtime,
            address,
            requests,
        }
    }

    fn tokenizer(&self, key: &str) -> ServerTokenizer {
        let mut headers = HeaderMap::new();
        headers.insert(
            AUTHORIZATION,
            HeaderValue::from_str(&format!("Bearer {key}")).unwrap(),
        );
        ServerTokenizer::new(
            Url::parse(&format!("http://{}/tokenize", self.address)).unwrap(),
            Some("model-a".to_owned()),
            headers,
            reqwest::Client::new(),
            self.runtime.handle().clone(),
        )
    }

    fn lookup<'a>(
        &self,
        env: &'a dyn Fn(&str) -> Option<String>,
        key: &str,
    ) -> TokenizerLookup<'a> {
        TokenizerLookup {
            tokenizer_path: None,
            model: Some("organisation/model-a"),
            env,
            server: Some(self.tokenizer(key)),
        }
    }
}

fn tokenize(
    counter: &TokenCounter,
    headers: &HeaderMap,
    body: &Value,
) -> (StatusCode, Json<Value>) {
    if headers.get(AUTHORIZATION).map(HeaderValue::as_bytes) != Some(b"Bearer good-key") {
        let message = json!({"error": {"message": "invalid key"}});
        return (StatusCode::UNAUTHORIZED, Json(message));
    }
    assert_eq!(body["model"], "model-a");
    let special = match body["add_special_tokens"].as_bool() {
        Some(true) => SpecialTokens::Added,
        _ => SpecialTokens::None,
    };
    let tokens = counter
        .token_ids(body["prompt"].as_str().unwrap(), special)
        .unwrap();
    let answer =
        json!({"count": tokens.len(), "max_model_len": 8192, "tokens": tokens, "token_strs": null});
    (StatusCode::OK, Json(answer))
}

fn no_env(_: &str) -> Option<String> {
    None
}

#[test]
fn special_tokens_are_counted_when_asked_for() {
    let counter = TokenCounter::shipped().unwrap();
    let text = "How does photosynthesis work?";
    let alone = counter.count(text, SpecialTokens::None).unwrap();
    let added = counter.count(text, SpecialTokens::Added).unwrap();
    assert_eq!(added, alone + 1);
    assert_eq!(
        counter.token_ids(text, SpecialTokens::Added).unwrap().len(),
        added
    );
}

#[test]
fn a_stored_truncation_rule_does_not_cap_the_count() {
    let counter = testing::metaspace();
    let text = ["garden"; 300].join(" ");
    assert_eq!(counter.count(&text, SpecialTokens::Added).unwrap(), 300);
}

#[test]
fn a_server_counts_as_its_own_tokenizer_does() {
    let server = Server::start(TokenCounter::shipped().unwrap());
    let loaded = server.lookup(&no_env, "good-key").load().unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let text = loaded.counter.source().to_string();
    assert_eq!(
        text,
        format!("server /tokenize at http://{}/tokenize", server.address)
    );
    let shipped = TokenCounter::shipped().unwrap();
    for special in [SpecialTokens::Added, SpecialTokens::None] {
        let text = &Questions::built_in()
            .unwrap()
            .get("100")
            .unwrap()
            .text
            .clone();
        let counted = loaded.counter.count(text, special).unwrap();
        assert_eq!(counted, shipped.count(text, special).unwrap());
    }
}

fn random_tokens(length: usize, counter: &Arc<TokenCounter>) -> Arc<dyn PromptSource> {
    let options = SourceOptions {
        max_model_len: None,
        prefix_cache: PrefixCache::Bust,
        seed: 1,
        counter,
    };
    let length = NonZeroUsize::new(length).unwrap();
    RandomTokens(length).source(&options).unwrap()
}

#[test]
fn prompts_are_exact_by_the_servers_count_and_need_no_request() {
    // The other tokenizer shares only some words with the vocabulary offered to the server.
    for hidden in [TokenCounter::shipped().unwrap(), testing::metaspace()] {
        let server = Server::start(hidden);
        let counter = server.lookup(&no_env, "good-key").load().unwrap().counter;
        let counter = Arc::new(counter);
        let source = random_tokens(200, &counter);
        let prepared = server.requests.load(Ordering::Relaxed);
        println!("{prepared} requests to prepare");
        let prompts: Vec<_> = (0..20).map(|i| source.request(i).unwrap()).collect();
        let made = server.requests.load(Ordering::Relaxed) - prepared;
        assert_eq!(made, 0, "requests for 20 prompts");
        assert_eq!(source.warning(), None);
        assert!(prepared <= 400, "{prepared} requests to prepare");
        for prompt in &prompts {
            let counted = counter.count(&prompt.prompt, SpecialTokens::Added).unwrap();
            assert_eq!(counted, 200);
        }
    }
}

#[test]
fn lengths_that_cannot_be_made_exact_without_asking_are_said() {
    // Every fourth longer text has a token more than its words.
    let shipped = Arc::new(TokenCounter::shipped().unwrap());
    let odd = move |Json(body): Json<Value>| async move {
        let text = body["prompt"].as_str().unwrap();
        let special = match body["add_special_tokens"].as_bool() {
            Some(true) => SpecialTokens::Added,
            _ => SpecialTokens::None,
        };
        let mut tokens = shipped.token_ids(text, special).unwrap();
        if tokens.len() < 100 && tokens.len() > 20 && tokens.iter().sum::<u32>() % 4 == 0 {
            tokens.push(0);
        }
        Json(json!({"count": tokens.len(), "tokens": tokens}))
    };
    let server = Server::serve(Router::new().route("/tokenize", post(odd)), Arc::default());
    let counter = Arc::new(TokenCounter::server(server.tokenizer("k")).unwrap());
    let source = random_tokens(50, &counter);
    let warning = source.warning().expect("a warning");
    assert!(warning.contains("of 64 prompts"), "{warning}");
    assert!(warning.contains("50 to 51"), "{warning}");
    assert!(warning.contains("TOKENIZER_PATH"), "{warning}");
    let exact = (0..100).filter(|&i| {
        let text = source.request(i).unwrap().prompt;
        counter.count(&text, SpecialTokens::Added).unwrap() == 50
    });
    assert!(exact.count() >= 50, "most are");
}

#[test]
fn a_server_that_refuses_leads_to_the_shipped_tokenizer_with_the_reason() {
    let server = Server::start(TokenCounter::shipped().unwrap());
    let loaded = server.lookup(&no_env, "bad-secret").load().unwrap();
    assert_eq!(loaded.counter.source(), &TokenizerSource::Shipped);
    let warning = loaded.warnings.join("\n");
    assert!(warning.contains("401"), "{warning}");
    assert!(
        !warning.contains("invalid key"),
        "it may repeat the key: {warning}"
    );
    assert!(warning.contains("TOKENIZER_PATH"), "{warning}");
    assert!(!warning.contains("bad-secret"), "{warning}");
}

#[test]
fn an_answer_without_a_count_is_an_error_that_names_the_url() {
    for answer in [
        json!({"tokens": "none"}),
        json!({"count": 3, "tokens": [1]}),
        json!([]),
    ] {
        let router = Router::new().route("/tokenize", post(move || async move { Json(answer) }));
        let server = Server::serve(router, Arc::default());
        let counter = TokenCounter::server(server.tokenizer("k")).unwrap();
        let text = counter
            .count("Hello", SpecialTokens::None)
            .unwrap_err()
            .to_string();
        assert!(text.contains(&server.address.to_string()), "{text}");
        assert!(text.contains("count"), "{text}");
    }
}

#[test]
fn a_server_that_is_gone_is_an_error_with_the_cause() {
    let server = Server::start(TokenCounter::shipped().unwrap());
    // A port that was free a moment ago and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let tokenizer = ServerTokenizer::new(
        Url::parse(&format!("http://127.0.0.1:{port}/tokenize")).unwrap(),
        None,
        HeaderMap::new(),
        reqwest::Client::new(),
        server.runtime.handle().clone(),
    );
    let error = TokenCounter::server(tokenizer)
        .unwrap()
        .count("Hello", SpecialTokens::None)
        .unwrap_err();
    assert!(
        error.to_string().to_lowercase().contains("refused"),
        "{error}"
    );
}

#[test]
fn where_the_counting_replica_dies_another_counts() {
    let [first, second] = [(); 2].map(|()| Server::start(TokenCounter::shipped().unwrap()));
    // The one that lives drives the questions.
    let mut tokenizer = second.tokenizer("good-key");
    let other = Url::parse(&format!("http://{}/tokenize", first.address)).unwrap();
    let asked = |server: &Server| server.requests.load(Ordering::Relaxed);
    tokenizer.urls.insert(0, other);
    let counter = TokenCounter::server(tokenizer).unwrap();
    let count = || counter.count("Hello", SpecialTokens::None).unwrap();
    let alive = count();
    assert_eq!((asked(&first), asked(&second)), (1, 0));
    drop(first);
    assert_eq!((count(), count()), (alive, alive));
    assert_eq!(asked(&second), 2);
}

#[test]
fn a_refusal_is_not_asked_of_every_replica() {
    let [first, second] = [(); 2].map(|()| Server::start(TokenCounter::shipped().unwrap()));
    let replica = second.tokenizer("").urls;
    let tokenizer = first.tokenizer("bad-secret").or_replicas(replica);
    let counter = TokenCounter::server(tokenizer).unwrap();
    counter.count("Hello", SpecialTokens::None).unwrap_err();
    assert_eq!(second.requests.load(Ordering::Relaxed), 0);
}

#[test]
fn headers_do_not_show_in_debug_output() {
    let server = Server::start(TokenCounter::shipped().unwrap());
    let tokenizer = server.tokenizer("secret-key");
    assert!(!format!("{tokenizer:?}").contains("secret-key"));
    let counter = TokenCounter::server(tokenizer).unwrap();
    assert!(!format!("{counter:?}").contains("secret-key"));
}
