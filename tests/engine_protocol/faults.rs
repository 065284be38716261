//! Each fault, as a client meets it.

use reqwest::Client;
use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;
use std::time::Duration;
use std::time::Instant;

use crate::client::{CHAT, at, chat_body, events, get, payloads, post, until_metric, with_faults};

#[tokio::test]
async fn a_refused_connection_never_answers() {
    let engine = with_faults("refuse=1");
    let sent = Client::new().get(at(&engine, "/health")).send().await;
    assert!(sent.is_err(), "{sent:?}");
}

#[tokio::test]
async fn error_statuses_are_injected_with_retry_after() {
    for (faults, status) in [
        ("http_429=1", 429),
        ("http_500=1", 500),
        ("http_503=1", 503),
    ] {
        let engine = with_faults(faults);
        let response = post(&engine, CHAT, &chat_body(4)).await;
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(
            response.headers().contains_key("retry-after"),
            status == 429
        );
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer["error"]["code"], status);
        assert_eq!(
            get(&engine, "/health").await.status(),
            StatusCode::OK,
            "other endpoints are spared"
        );
    }
}

#[tokio::test]
async fn a_reset_breaks_the_stream_after_some_tokens() {
    let engine = with_faults("reset=1");
    let mut response = post(&engine, CHAT, &chat_body(200)).await;
    let mut error = None;
    while error.is_none() {
        match response.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended cleanly"),
            Err(broken) => error = Some(broken),
        }
    }
    until_metric(&engine, "vllm:kv_cache_usage_perc", 0.0).await;
}

#[tokio::test]
async fn a_cut_stream_ends_cleanly_without_done() {
    let engine = with_faults("cut=1");
    let text = post(&engine, CHAT, &chat_body(50))
        .await
        .text()
        .await
        .expect("a clean end");
    let events = payloads(&text);
    assert!(
        events.len() > 1 && events.len() < 51,
        "{} events",
        events.len()
    );
    assert!(!text.contains("[DONE]"));
    until_metric(&engine, "vllm:num_requests_running", 0.0).await;
}

#[tokio::test]
async fn a_malformed_event_is_among_good_ones() {
    let engine = with_faults("malformed_sse=1");
    let text = post(&engine, CHAT, &chat_body(10))
        .await
        .text()
        .await
        .expect("text");
    let payloads = payloads(&text);
    let broken = payloads
        .iter()
        .filter(|payload| serde_json::from_str::<Value>(payload).is_err());
    assert_eq!(broken.count(), 2, "the malformed one and [DONE]");
    assert_eq!(payloads.len(), 1 + 10 + 1 + 1 + 1);
}

#[tokio::test]
async fn garbage_is_not_utf8() {
    let engine = with_faults("garbage=1");
    let bytes = post(&engine, CHAT, &chat_body(10))
        .await
        .bytes()
        .await
        .expect("bytes");
    assert!(std::str::from_utf8(&bytes).is_err());
    assert!(bytes.ends_with(b"data: [DONE]\n\n"));
}

#[tokio::test]
async fn stalls_and_slow_headers_take_their_time() {
    for faults in ["stall=1:300", "slow_headers=1:300"] {
        let engine = with_faults(faults);
        let start = Instant::now();
        let text = post(&engine, CHAT, &chat_body(10))
            .await
            .text()
            .await
            .expect("text");
        assert_eq!(events(&text).len(), 12);
        assert!(
            start.elapsed() >= Duration::from_millis(300),
            "{faults}: {:?}",
            start.elapsed()
        );
    }
}

#[tokio::test]
async fn usage_can_be_wrong_or_missing() {
    let engine = with_faults("wrong_usage=1");
    let last = events(
        &post(&engine, CHAT, &chat_body(10))
            .await
            .text()
            .await
            .expect("text"),
    )
    .pop();
    assert_eq!(last.expect("events")["usage"]["completion_tokens"], 16);
    let engine = with_faults("no_usage=1");
    let answers = events(
        &post(&engine, CHAT, &chat_body(10))
            .await
            .text()
            .await
            .expect("text"),
    );
    assert_eq!(answers.len(), 11);
    assert!(answers.iter().all(|event| event.get("usage").is_none()));
}

#[tokio::test]
async fn an_output_can_end_badly_with_status_200() {
    let streamed = async |faults| {
        let engine = with_faults(faults);
        let response = post(&engine, CHAT, &chat_body(10)).await;
        assert_eq!(response.status(), StatusCode::OK, "{faults}");
        let text = response.text().await.expect("text");
        assert!(text.ends_with("data: [DONE]\n\n"), "{faults}: {text}");
        events(&text)
    };
    let whole = async |faults| {
        let mut body = chat_body(10);
        body["stream"] = json!(false);
        let engine = with_faults(faults);
        let response = post(&engine, CHAT, &body).await;
        assert_eq!(response.status(), StatusCode::OK, "{faults}");
        response.json::<Value>().await.expect("JSON")
    };
    let last = |events: Vec<Value>| events.last().expect("events").clone();
    let reason = |event: &Value| event["choices"][0]["finish_reason"].clone();
    assert_eq!(reason(&last(streamed("abort=1").await)), "abort");
    assert_eq!(reason(&whole("abort=1").await), "abort");
    assert_eq!(last(streamed("error_event=1").await)["object"], "error");
    assert_eq!(whole("error_event=1").await["object"], "error");
    let empty = streamed("empty=1").await;
    assert_eq!((empty.len(), reason(&last(empty))), (1, json!("stop")));
    assert_eq!(
        whole("empty=1").await["choices"][0]["message"]["content"],
        ""
    );
    let counted = |event: &Value| event["usage"]["completion_tokens"].clone();
    assert_eq!(counted(&last(streamed("zero_usage=1").await)), 0);
    assert_eq!(counted(&whole("zero_usage=1").await), 0);
}

#[tokio::test]
async fn whole_answers_meet_faults_too() {
    let mut body = chat_body(10);
    body["stream"] = json!(false);
    for faults in ["reset=1", "cut=1"] {
        let answer = post(&with_faults(faults), CHAT, &body).await.bytes().await;
        assert!(answer.is_err(), "{faults}");
    }
    for faults in ["malformed_sse=1", "garbage=1"] {
        let bytes = post(&with_faults(faults), CHAT, &body)
            .await
            .bytes()
            .await
            .expect("bytes");
        assert!(serde_json::from_slice::<Value>(&bytes).is_err(), "{faults}");
    }
}

#[tokio::test]
async fn a_dripping_stream_comes_byte_by_byte_and_whole() {
    let engine = with_faults("drip=1:1");
    let start = Instant::now();
    let mut response = post(&engine, CHAT, &chat_body(2)).await;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.expect("reads") {
        bytes.extend_from_slice(&chunk);
    }
    let took = start.elapsed();
    assert_eq!(events(std::str::from_utf8(&bytes).expect("UTF-8")).len(), 4);
    // Two bytes may arrive together, but none comes before its time.
    assert!(
        took >= Duration::from_millis(bytes.len() as u64),
        "{took:?}"
    );
}
