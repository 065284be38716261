//! Waiting for endpoints, and what is learnt from them, against small servers on real sockets.

mod identity;

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json};
use axum::routing::{get, post};
use serde_json::json;
use servemark::internals::client::Connections;
use servemark::internals::config::{ConfigSource, EndpointUrl, Settings};
use servemark::internals::dialect::ChatCompletions;
use servemark::internals::endpoint::{
    EndpointError, Endpoints, FailureKind, Http, Prober, Readiness, ReadyProof, ReadyState,
    ServerMetrics, TrialRequest, connect, ready,
};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Far more than any of these tests needs; they must end, not be quick.
const PATIENCE: Duration = Duration::from_secs(60);
/// A wait that is to fail, long enough for every answer on a busy machine.
const SHORT: Duration = Duration::from_secs(2);

async fn serve(router: Router) -> EndpointUrl {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    EndpointUrl::parse(&format!("http://{address}/v1/chat/completions")).unwrap()
}

fn http() -> Http {
    Http::new(reqwest::Client::new(), HeaderMap::new())
}

/// Asks with this key.
struct Asker(Http, TrialRequest);

impl Asker {
    fn with_key(key: Option<&str>) -> Asker {
        let env = |name: &str| key.filter(|_| name == "OPENAI_API_KEY").map(str::to_owned);
        let config = Settings::from_parts(ConfigSource::BuiltIn, "{}", &env).unwrap();
        let http = Http::new(reqwest::Client::new(), config.request_headers());
        let trial = TrialRequest::new(Connections::new().unwrap(), &config, &ChatCompletions);
        Asker(http, trial)
    }

    fn of<'a>(&'a self, urls: &'a [EndpointUrl], model_path: Option<&'a str>) -> Prober<'a> {
        Prober {
            http: &self.0,
            trial: &self.1,
            urls,
            model_path,
        }
    }
}

/// The whole answer of a stream.
const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"length\"}],\
    \"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";

/// A server of which only the load's path is open, to the model `m`.
fn load_path() -> Router {
    let answer = |body: String| async move {
        match body.contains("\"model\":\"m\"") {
            true => ([("content-type", "text/event-stream")], STREAM).into_response(),
            false => (
                StatusCode::NOT_FOUND,
                Json(json!({"object": "error", "message": "The model does not exist."})),
            )
                .into_response(),
        }
    };
    Router::new().route("/v1/chat/completions", post(answer))
}

/// A whole vLLM-like server.
fn vllm(model: &'static str) -> Router {
    let models = json!({"object": "list", "data": [
        {"id": model, "object": "model", "owned_by": "vllm", "max_model_len": 4096},
        {"id": "lora-a", "object": "model", "owned_by": "vllm", "max_model_len": null},
    ]});
    Router::new()
        .route("/health", get(|| async { StatusCode::OK }))
        .route(
            "/version",
            get(|| async { Json(json!({"version": "0.32.0"})) }),
        )
        .route("/v1/models", get(move || async move { Json(models) }))
        .route(
            "/metrics",
            get(|| async {
                "process_start_time_seconds 1.75e+09\nvllm:num_requests_running{engine=\"0\"} 2.0\n"
            }),
        )
}

fn healthy(status: impl Fn() -> StatusCode + Clone + Send + Sync + 'static) -> Router {
    Router::new().route("/health", get(move || async move { status() }))
}

async fn wait(urls: &[EndpointUrl], limit: Duration) -> Result<(), EndpointError> {
    let asker = Asker::with_key(None);
    let waited = ready::wait(asker.of(urls, Some("m")), limit, |_| {});
    timeout(PATIENCE, waited).await.expect("it ends").map(drop)
}

async fn connected(
    urls: &[EndpointUrl],
    model_path: Option<&str>,
) -> Result<Endpoints, EndpointError> {
    let asker = Asker::with_key(None);
    let waited = connect(asker.of(urls, model_path), PATIENCE, |_| {});
    timeout(PATIENCE * 2, waited).await.expect("it ends")
}

#[tokio::test]
async fn a_server_that_becomes_ready_late_is_waited_for() {
    let loaded = Arc::new(AtomicBool::new(false));
    let state = loaded.clone();
    let health = healthy(move || match state.load(Ordering::SeqCst) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    });
    let late = serve(health.fallback(|| async { StatusCode::SERVICE_UNAVAILABLE })).await;
    let prompt = serve(healthy(|| StatusCode::OK)).await;

    let mut seen = Vec::new();
    let on_change = |state: &ReadyState| {
        if let (
            _,
            Readiness::Waiting {
                last: Some(failure),
                ..
            },
        ) = &state.endpoints[0]
        {
            assert_eq!(failure.kind, FailureKind::Status(503));
            loaded.store(true, Ordering::SeqCst);
        }
        seen.push(state.ready());
    };
    let urls = [late, prompt];
    let asker = Asker::with_key(None);
    let waited = ready::wait(asker.of(&urls, Some("m")), PATIENCE, on_change);
    timeout(PATIENCE, waited).await.unwrap().unwrap();
    assert!(loaded.load(Ordering::SeqCst), "the first answers were 503");
    assert_eq!(seen.first(), Some(&0));
    assert_eq!(seen.last(), Some(&2));
}

#[tokio::test]
async fn a_server_without_a_health_page_is_ready_when_it_answers_a_request() {
    let url = serve(load_path()).await;
    wait(&[url], PATIENCE).await.unwrap();
    let models = || async { Json(json!({"data": [{"id": "openai/*"}, {"id": "m"}]})) };
    let url = serve(load_path().route("/v1/models", get(models))).await;
    let asker = Asker::with_key(None);
    let shown = ready::wait(asker.of(&[url], None), PATIENCE, |_| {}).await;
    assert!(matches!(&shown.unwrap()[..], [ReadyProof::Answered { model, .. }] if model == "m"));
}

#[tokio::test]
async fn a_server_whose_pages_answer_while_it_loads_is_waited_for() {
    // As llama.cpp does.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let answer = move || async move {
        match count.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            _ => STREAM.into_response(),
        }
    };
    let router = healthy(|| StatusCode::SERVICE_UNAVAILABLE)
        .route(
            "/v1/models",
            get(|| async { Json(json!({"data": [{"id": "m"}]})) }),
        )
        .route("/v1/chat/completions", post(answer));
    let url = serve(router).await;
    assert_eq!(connected(&[url], None).await.unwrap().model(), "m");
    assert_eq!(asked.load(Ordering::SeqCst), 3, "one more than failed");
}

#[tokio::test]
async fn health_and_a_listed_model_need_no_request() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let answer = move || async move {
        count.fetch_add(1, Ordering::SeqCst);
        STREAM
    };
    let router = vllm("m").route("/v1/chat/completions", post(answer));
    let url = serve(router).await;
    for model in [None, Some("m"), Some("lora-a")] {
        connected(std::slice::from_ref(&url), model).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    connected(std::slice::from_ref(&url), Some("an-alias"))
        .await
        .unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn too_few_tokens_are_no_reason_to_refuse_a_server() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let answer = move |body: String| async move {
        count.fetch_add(1, Ordering::SeqCst);
        match body.contains("\"max_tokens\":32") {
            true => STREAM.into_response(),
            false => (StatusCode::BAD_REQUEST, "max_tokens is below the minimum").into_response(),
        }
    };
    let url = serve(Router::new().route("/v1/chat/completions", post(answer))).await;
    wait(&[url], PATIENCE).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_request_that_is_refused_for_good_ends_the_waiting_at_once() {
    for (status, said) in [
        (StatusCode::BAD_REQUEST, "EXTRA_BODY"),
        (StatusCode::UNPROCESSABLE_ENTITY, "MODEL_PATH"),
        (StatusCode::FORBIDDEN, "OPENAI_API_KEY"),
        (StatusCode::TEMPORARY_REDIRECT, "MODEL_ENDPOINTS"),
    ] {
        let answer = move || async move { (status, "in its own words") };
        let url = serve(Router::new().route("/v1/chat/completions", post(answer))).await;
        let error = wait(&[url], PATIENCE).await.unwrap_err().to_string();
        assert!(error.contains("\"m\"") && error.contains(said), "{error}");
        assert!(
            error.contains(&format!("HTTP {}", status.as_u16())),
            "{error}"
        );
    }
}

#[tokio::test]
async fn every_endpoint_that_is_not_ready_is_named_with_its_failure() {
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        EndpointUrl::parse(&format!("http://{address}")).unwrap()
    };
    let busy = healthy(|| StatusCode::SERVICE_UNAVAILABLE);
    let loading = serve(busy.fallback(|| async { StatusCode::SERVICE_UNAVAILABLE })).await;
    let hanging = serve(Router::new().fallback(|| async { pending::<()>().await })).await;
    let other = serve(Router::new().route("/", get(|| async { "hello" }))).await;
    let fine = serve(healthy(|| StatusCode::OK)).await;
    let urls = [refused, loading, hanging, other, fine];

    let error = wait(&urls, SHORT).await.unwrap_err();
    let EndpointError::NotReady { waited, endpoints } = &error else {
        panic!("{error}")
    };
    assert!(*waited >= SHORT);
    let kinds: Vec<_> = endpoints
        .iter()
        .map(|(url, failure)| (url.as_str(), failure.kind))
        .collect();
    let names: Vec<_> = urls.iter().map(ToString::to_string).collect();
    assert_eq!(
        kinds,
        [
            (names[0].as_str(), FailureKind::ConnectionRefused),
            (names[1].as_str(), FailureKind::Status(503)),
            (names[2].as_str(), FailureKind::TimedOut),
            (names[3].as_str(), FailureKind::Status(404)),
        ]
    );
    let text = error.to_string();
    assert!(
        text.contains("connection refused; is the server running on this port?"),
        "{text}"
    );
    assert!(text.contains("READY_TIMEOUT"), "{text}");
}

#[tokio::test]
async fn an_unknown_host_and_a_wrong_scheme_are_told() {
    let plain = serve(healthy(|| StatusCode::OK)).await;
    let https = plain.given.as_str().replacen("http", "https", 1);
    let urls = [
        EndpointUrl::parse("http://no-such-host.invalid:8000").unwrap(),
        EndpointUrl::parse(&https).unwrap(),
    ];
    let error = wait(&urls, SHORT).await.unwrap_err();
    let EndpointError::NotReady { endpoints, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        matches!(
            endpoints[0].1.kind,
            FailureKind::UnknownHost | FailureKind::TimedOut
        ),
        "{error}"
    );
    assert!(error.to_string().contains("write http://"), "{error}");
}

#[tokio::test]
async fn a_refused_key_ends_the_waiting_at_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let answer = move |headers: HeaderMap| async move {
        count.fetch_add(1, Ordering::SeqCst);
        match headers.get("authorization").map(|value| value.as_bytes()) {
            Some(b"Bearer right") => STREAM.into_response(),
            _ => (StatusCode::UNAUTHORIZED, "not sk-secret").into_response(),
        }
    };
    // Whatever the key, the pages are not for it.
    let url = serve(
        Router::new()
            .route("/v1/chat/completions", post(answer))
            .fallback(|| async { StatusCode::FORBIDDEN }),
    )
    .await;
    let urls = std::slice::from_ref(&url);

    let error = wait(urls, PATIENCE).await.unwrap_err();
    assert!(
        matches!(error, EndpointError::Unauthorised { .. }),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("HTTP 401") && text.contains("OPENAI_API_KEY"),
        "{text}"
    );
    assert!(!text.contains("sk-secret"), "{text}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    let asker = Asker::with_key(Some("right"));
    let endpoints = connect(asker.of(urls, Some("m")), PATIENCE, |_| {}).await;
    assert_eq!(endpoints.unwrap().model(), "m");
    assert!(!format!("{:?} {:?}", asker.0, asker.1).contains("right"));

    // Which model to ask for cannot be known here.
    let error = connect(asker.of(urls, None), PATIENCE, |_| {})
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("Set MODEL_PATH") && text.contains("HTTP 403"),
        "{text}"
    );
}

#[tokio::test]
async fn a_key_refused_only_by_the_api_is_told_too() {
    let router = healthy(|| StatusCode::OK).fallback(|| async { StatusCode::UNAUTHORIZED });
    let url = serve(router).await;
    let error = connected(&[url], Some("m")).await.unwrap_err();
    assert!(
        matches!(error, EndpointError::Unauthorised { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn no_endpoints_are_an_error() {
    let error = connected(&[], None).await.unwrap_err();
    assert!(matches!(error, EndpointError::NoEndpoints), "{error}");
}
