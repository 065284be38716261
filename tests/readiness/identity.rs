//! Facts that a ready server tells of itself.

use super::*;

#[tokio::test]
async fn an_identity_tells_what_the_server_is() {
    let url = serve(vllm("org/m-7B")).await;
    let endpoints = connected(std::slice::from_ref(&url), None).await.unwrap();
    assert_eq!(endpoints.model(), "org/m-7B");
    assert_eq!(endpoints.simulated(), None);
    let record = serde_json::to_value(&endpoints.as_slice()[0].identity).unwrap();
    assert_eq!(
        record,
        json!({
            "url": url.to_string(),
            "server": "vLLM 0.32.0",
            "is_vllm": true,
            "model": "org/m-7B",
            "max_model_len": 4096,
            "process_start": 1.75e9,
            "simulated": null,
            "missing": [],
        })
    );
    let metrics = ServerMetrics::scrape(&http(), &url).await.unwrap();
    assert_eq!(metrics.running, Some(2.0));
}

#[tokio::test]
async fn facts_a_server_does_not_report_are_missing_with_a_reason() {
    let router = healthy(|| StatusCode::OK)
        .route(
            "/v1/models",
            get(|| async { Json(json!({"data": [{"id": "m", "owned_by": "other"}]})) }),
        )
        .route("/version", get(|| async { "1.0" }))
        .route("/metrics", get(|| async { "<html></html>" }));
    let url = serve(router).await;
    let endpoints = connected(&[url], None).await.unwrap();
    let identity = &endpoints.as_slice()[0].identity;
    assert!(!identity.is_vllm);
    assert_eq!((&identity.server, identity.process_start), (&None, None));
    let missing: Vec<_> = identity
        .missing
        .iter()
        .map(|piece| piece.what.as_str())
        .collect();
    assert_eq!(missing, ["server", "process_start", "max_model_len"]);
    assert!(
        identity
            .missing
            .iter()
            .all(|piece| !piece.reason.is_empty())
    );
}

#[tokio::test]
async fn a_simulated_server_is_known_by_its_header() {
    let models = || async {
        (
            [("x-servemark-simulated", "sim-small")],
            Json(json!({"data": [{"id": "m"}]})),
        )
    };
    let router = healthy(|| StatusCode::OK).route("/v1/models", get(models));
    let real = serve(vllm("m")).await;
    let simulated = serve(router).await;
    let endpoints = connected(&[real, simulated], None).await.unwrap();
    assert_eq!(endpoints.simulated(), Some("sim-small"));
    assert_eq!(endpoints.as_slice()[0].identity.simulated, None);
}

#[tokio::test]
async fn a_model_that_an_endpoint_does_not_serve_is_reported_with_its_models() {
    let refusing = |model| {
        let refused = || async { (StatusCode::NOT_FOUND, "The model does not exist.") };
        vllm(model).route("/v1/chat/completions", post(refused))
    };
    let urls = [
        serve(refusing("org/a")).await,
        serve(refusing("org/b")).await,
    ];
    let text = connected(&urls[..1], Some("org/c"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("\"org/c\"") && text.contains("\"org/a\", \"lora-a\""),
        "{text}"
    );
    assert!(
        text.contains("MODEL_PATH") && text.contains(&urls[0].to_string()),
        "{text}"
    );
    assert!(text.contains("The model does not exist."), "{text}");

    let text = connected(&urls, None).await.unwrap_err().to_string();
    assert!(
        text.contains(&urls[1].to_string()) && text.contains("\"org/b\""),
        "{text}"
    );
    assert_eq!(
        connected(&urls, Some("lora-a")).await.unwrap().model(),
        "lora-a"
    );
}

#[tokio::test]
async fn a_server_that_lists_no_models_needs_a_model_path() {
    let url = serve(load_path().route("/health", get(|| async { StatusCode::OK }))).await;
    let urls = std::slice::from_ref(&url);
    let text = connected(urls, None).await.unwrap_err().to_string();
    assert!(text.contains("Set MODEL_PATH"), "{text}");
    let endpoints = connected(urls, Some("m")).await.unwrap();
    assert_eq!(endpoints.model(), "m");
    let pages: Vec<_> = endpoints.as_slice()[0]
        .unavailable_pages
        .iter()
        .map(|(page, _)| *page)
        .collect();
    assert_eq!(pages, ["/version", "/v1/models", "/metrics"]);
}
