use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use reqwest::header::{CONNECTION, HeaderMap};

use super::*;
use crate::client::Prepared;

const OK: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                       3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n";

fn transaction(body: &str) -> Transaction {
    let prepared = Prepared {
        url: "http://[::1]:8000/v1/completions?key=1"
            .parse()
            .expect("a URL"),
        body: Bytes::copy_from_slice(body.as_bytes()),
        prompt_tokens: 1,
        output_tokens: None,
        keep_text: false,
        request_id: Some("name-1".to_owned()),
    };
    let headers = HeaderMap::from_iter([(
        reqwest::header::AUTHORIZATION,
        "Bearer key".parse().expect("a header"),
    )]);
    Transaction::new(Request::new(prepared, &Headers::new(&headers)).expect("a request"))
}

/// The parts of a body and their times; what came of the transaction.
type Ran = (Vec<(String, u64)>, Result<StatusCode, Failure>);

async fn run(transaction: &mut Transaction, connection: &mut DuplexStream) -> Ran {
    let mut parts = Vec::new();
    let take = |_, bytes: &[u8], at_ns| {
        parts.push((String::from_utf8_lossy(bytes).into_owned(), at_ns));
        Ok(ControlFlow::Continue(()))
    };
    let result = transaction.run(connection, Clock::start(), take).await;
    let status = transaction.head().map(|head| head.status);
    (parts, result.map(|()| status.expect("a head")))
}

/// Reads a request whose body is `{}`.
async fn request(connection: &mut DuplexStream) -> String {
    let mut request = String::new();
    while !request.ends_with("{}") {
        let byte = connection.read_u8().await.expect("a request");
        request.push(char::from(byte));
    }
    request
}

/// What comes of `response`, which arrives in pieces of `piece` bytes before the connection ends.
async fn read(response: &str, piece: usize) -> (String, Result<StatusCode, Failure>, bool) {
    let (mut ours, mut theirs) = duplex(piece);
    let response = response.to_owned();
    let server = tokio::spawn(async move {
        request(&mut theirs).await;
        // The client may have had enough.
        let _ = theirs.write_all(response.as_bytes()).await;
    });
    let mut transaction = transaction("{}");
    let (parts, result) = run(&mut transaction, &mut ours).await;
    let reusable = transaction.is_reusable();
    drop(ours);
    server.await.expect("the server ends");
    let body = parts.into_iter().map(|(text, _)| text).collect();
    (body, result, reusable)
}

#[tokio::test]
async fn the_request_is_written_as_it_should() {
    let (mut ours, mut theirs) = duplex(7);
    let server = tokio::spawn(async move {
        let request = request(&mut theirs).await;
        let answer = theirs.write_all(CHUNKED.as_bytes()).await;
        answer.expect("the client listens");
        request
    });
    run(&mut transaction("{}"), &mut ours)
        .await
        .1
        .expect("an answer");
    let request = server.await.expect("a request");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    let mut lines: Vec<&str> = head.split("\r\n").collect();
    assert_eq!(lines.remove(0), "POST /v1/completions?key=1 HTTP/1.1");
    lines.sort_unstable();
    let expected = [
        "authorization: Bearer key",
        "content-length: 2",
        "host: [::1]:8000",
        "x-request-id: name-1",
    ];
    assert_eq!((lines.as_slice(), body), (&expected[..], "{}"));
}

#[tokio::test]
async fn a_response_is_the_same_however_it_is_cut() {
    for piece in (1..CHUNKED.len()).chain([4096]) {
        let (body, result, reusable) = read(CHUNKED, piece).await;
        assert_eq!(
            (body.as_str(), reusable),
            ("abcdefg", true),
            "{piece} bytes at a time"
        );
        assert_eq!(result.expect("a response"), StatusCode::OK);
    }
}

#[tokio::test]
async fn every_way_to_end_a_body_is_known_and_whether_another_request_can_follow() {
    let cases = [
        ("Content-Length: 2\r\n\r\nab", "ab", true),
        ("Content-Length: 0\r\n\r\n", "", true),
        (
            "Content-Length: 2\r\nConnection: close\r\n\r\nab",
            "ab",
            false,
        ),
        ("\r\nuntil it closes", "until it closes", false),
        ("Content-Length: 2\r\n\r\nabHTTP/1.1 200", "ab", false),
        // Closed before the blank line that follows the last chunk.
        (
            "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
            "a",
            false,
        ),
    ];
    for (rest, expected, expected_reusable) in cases {
        let (body, result, reusable) = read(&format!("{OK}{rest}"), 4096).await;
        assert_eq!(
            (body.as_str(), reusable),
            (expected, expected_reusable),
            "{rest}"
        );
        assert_eq!(result.expect("a response"), StatusCode::OK, "{rest}");
    }
}

#[tokio::test]
async fn interim_responses_are_passed_over_and_redirects_are_not_followed() {
    let interim = format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{CHUNKED}");
    let (body, result, _) = read(&interim, 5).await;
    assert_eq!(
        (body.as_str(), result.expect("a response")),
        ("abcdefg", StatusCode::OK)
    );
    let moved = "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n";
    let (_, result, reusable) = read(moved, 4096).await;
    assert_eq!(
        (result.expect("a response"), reusable),
        (StatusCode::FOUND, false)
    );
}

#[tokio::test]
async fn a_connection_that_ends_too_soon_is_a_cut_that_says_where() {
    for (response, expected) in [
        ("", "closed the connection before a response"),
        ("HTTP/1.1 200", "closed the connection before a response"),
        (
            &CHUNKED[..CHUNKED.len() - 20],
            "closed the connection before the response's end",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "before the response's end",
        ),
    ] {
        let failure = read(response, 4096).await.1.expect_err("a cut");
        assert_eq!(failure.cause, FailureCause::StreamCut, "{response}");
        assert!(failure.message.contains(expected), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_status_stands_however_its_response_ended() {
    for rest in [
        "Content-Length: 10\r\n\r\nbus",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let (mut ours, mut theirs) = duplex(4096);
        let answer = format!("HTTP/1.1 503 Service Unavailable\r\n{rest}");
        theirs.write_all(answer.as_bytes()).await.expect("room");
        theirs.shutdown().await.expect("an end");
        let mut transaction = transaction("{}");
        run(&mut transaction, &mut ours)
            .await
            .1
            .expect_err("no end");
        let status = transaction.head().map(|head| head.status);
        assert_eq!(status, Some(StatusCode::SERVICE_UNAVAILABLE));
    }
}

#[tokio::test]
async fn a_response_that_is_not_http_is_malformed() {
    let endless = format!("{OK}X: {}", "x".repeat(BUFFER_BYTES));
    for response in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        &format!("{OK}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        &format!("{OK}Content-Length: many\r\n\r\n"),
        &endless,
    ] {
        let failure = read(response, 2 * BUFFER_BYTES)
            .await
            .1
            .expect_err("nonsense");
        assert_eq!(
            failure.cause,
            FailureCause::Malformed,
            "{}",
            failure.message
        );
        assert!(
            failure.message.starts_with("not HTTP/1.1: "),
            "{}",
            failure.message
        );
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_sent_is_heard() {
    let (mut ours, mut theirs) = duplex(256);
    // The server reads none of the body, which does not fit into the pipe.
    let answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nlong";
    theirs.write_all(answer.as_bytes()).await.expect("room");
    let mut transaction = transaction(&"x".repeat(10_000));
    let (parts, result) = run(&mut transaction, &mut ours).await;
    assert_eq!(result.expect("an answer"), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(parts[0].0, "long");
    assert!(!transaction.is_reusable());
}

#[tokio::test]
async fn each_read_has_its_own_time_and_what_is_not_decoded_yet_its_later_one() {
    let (mut ours, mut theirs) = duplex(4096);
    let (head, body) = CHUNKED.split_at(CHUNKED.find("4;x").expect("a chunk") + 1);
    theirs.write_all(head.as_bytes()).await.expect("room");
    let mut transaction = transaction("{}");
    let mut parts = Vec::new();
    let clock = Clock::start();
    let mut written_ns = 0;
    let take = |_, bytes: &[u8], at_ns: u64| {
        parts.push((bytes.to_vec(), at_ns));
        Ok(ControlFlow::Continue(()))
    };
    let later = async {
        // Runs once the first part is read and the transaction waits.
        written_ns = clock.now_ns();
        theirs.write_all(body.as_bytes()).await.expect("room");
    };
    let (result, ()) = tokio::join!(biased; transaction.run(&mut ours, clock, take), later);
    result.expect("a response");
    assert_eq!(
        (&parts[0].0[..], &parts[1].0[..]),
        (&b"abc"[..], &b"defg"[..])
    );
    assert!(
        parts[0].1 <= written_ns && written_ns <= parts[1].1,
        "{written_ns}: {parts:?}"
    );
}

#[test]
fn the_protocol_sees_how_the_connection_is_used_and_no_key() {
    let mut headers = HeaderMap::new();
    headers.insert(
        reqwest::header::AUTHORIZATION,
        "Bearer key".parse().expect("a header"),
    );
    headers.insert(CONNECTION, "close".parse().expect("a header"));
    let (framing, lines) = Headers::new(&headers).into_parts();
    let seen: Vec<_> = framing.keys().collect();
    assert_eq!(
        (seen, &lines[..]),
        (vec![&CONNECTION], &b"authorization: Bearer key\r\n"[..])
    );
}

#[test]
fn a_request_that_cannot_be_sent_is_a_failure_that_says_so() {
    let prepared = Prepared {
        url: "http://localhost/".parse().expect("a URL"),
        body: Bytes::new(),
        prompt_tokens: 0,
        output_tokens: None,
        keep_text: false,
        request_id: Some("two\nlines".to_owned()),
    };
    let failure = Request::new(prepared, &Headers::new(&HeaderMap::new())).err();
    let message = failure.expect("no request").message;
    assert!(
        message.starts_with("the request cannot be sent: "),
        "{message}"
    );
}
