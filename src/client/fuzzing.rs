//! Responses from memory in place of a server's.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::bounds::Bounds;
use super::clock::Clock;
use super::exchange::exchange;
use super::failure::Failure;
use super::http1::{Headers, Request, Transaction};
use super::prepared::Prepared;
use super::response::ResponseReader;
use super::sse::{EventName, SseDecoder, SseError};
use crate::dialect::ChatCompletions;

thread_local! {
    static RUNTIME: RefCell<io::Result<Runtime>> =
        RefCell::new(Builder::new_current_thread().enable_time().build());
}

/// Reads an event stream that arrives in pieces.
///
/// # Panics
/// If its events differ from those of the stream in one piece, or a failure's message could steer a terminal.
pub fn event_stream(bytes: &[u8]) {
    let piece = piece(bytes);
    assert_eq!(events(bytes, piece), events(bytes, bytes.len().max(1)));
    let mut reader =
        ResponseReader::new(&ChatCompletions, true, Bounds::for_tokens(8), &prepared());
    let count = AtomicU32::new(0);
    for (at_ns, piece) in (0..).zip(bytes.chunks(piece)) {
        match reader.take(piece, at_ns, &count) {
            Ok(taken) if taken.is_continue() => {}
            Ok(_) => break,
            Err(failure) => return check(failure),
        }
    }
    reader.finish().map_err(check).ok();
}

/// Size of the pieces: it depends on the length, so a fuzzer varies it and a corpus file is plain server output.
fn piece(bytes: &[u8]) -> usize {
    1 + bytes.len() % 13
}

type Events = Result<Vec<(EventName, Vec<u8>)>, (Vec<(EventName, Vec<u8>)>, SseError)>;

fn events(bytes: &[u8], piece: usize) -> Events {
    let mut events = Vec::new();
    let mut decoder = SseDecoder::default();
    let mut keep = |name, data: &[u8]| {
        events.push((name, data.to_vec()));
        Ok::<(), SseError>(())
    };
    let mut pieces = bytes.chunks(piece);
    let fed = pieces.try_for_each(|piece| decoder.feed(piece, &mut keep));
    match fed.and_then(|()| decoder.finish(&mut keep)) {
        Ok(()) => Ok(events),
        Err(error) => Err((events, error)),
    }
}

/// Sends a request and reads `bytes` as the response, in pieces, until the connection closes.
///
/// # Panics
/// If the body differs from that of the response in one piece, or a failure's message could steer a terminal.
pub fn http_exchange(bytes: &[u8]) {
    let piece = piece(bytes);
    RUNTIME.with_borrow(|runtime| {
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            assert_eq!(body(bytes, piece).await, body(bytes, usize::MAX).await);
            for stream in [true, false] {
                let prepared = prepared();
                let mut reader =
                    ResponseReader::new(&ChatCompletions, stream, Bounds::for_tokens(8), &prepared);
                let Some(request) = request(prepared) else {
                    return;
                };
                let mut connection = ScriptedConnection { bytes, piece };
                let (count, heard_ns) = (AtomicU32::new(0), AtomicU64::new(0));
                let clock = Clock::start();
                let exchanged = exchange(
                    request,
                    &mut connection,
                    clock,
                    &mut reader,
                    (&count, &heard_ns),
                );
                let (outcome, _) = exchanged.await;
                outcome.and_then(|()| reader.finish()).map_err(check).ok();
            }
        });
    });
}

/// Status and body of the response, if it has come whole.
async fn body(bytes: &[u8], piece: usize) -> Option<(u16, Vec<u8>)> {
    let mut transaction = Transaction::new(request(prepared())?);
    let mut body = Vec::new();
    let mut connection = ScriptedConnection { bytes, piece };
    let run = transaction.run(&mut connection, Clock::start(), |_, part, _| {
        body.extend_from_slice(part);
        Ok(std::ops::ControlFlow::Continue(()))
    });
    run.await.ok()?;
    Some((transaction.head()?.status.as_u16(), body))
}

fn request(prepared: Prepared) -> Option<Request> {
    Request::new(prepared, &Headers::new(&Default::default())).ok()
}

fn prepared() -> Prepared {
    Prepared {
        url: Url::parse("http://localhost/v1/chat/completions").expect("an address"),
        body: "{}".into(),
        prompt_tokens: 1,
        output_tokens: None,
        keep_text: true,
        request_id: None,
    }
}

fn check(failure: Failure) {
    let shown = failure.safe_to_show().message;
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert!(shown.chars().count() <= 1_001, "{shown}");
}

/// A connection that takes whatever is written, gives `piece` bytes a read, and closes after the last.
struct ScriptedConnection<'a> {
    bytes: &'a [u8],
    piece: usize,
}

impl AsyncRead for ScriptedConnection<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = self.piece.min(buffer.remaining()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(most);
        buffer.put_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ScriptedConnection<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
