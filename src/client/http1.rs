//! HTTP/1.1 of one request on one connection.
//!
//! `ureq-proto` speaks the protocol; it neither reads nor keeps bytes. So an arrival is timed at the read itself,
//! before anything of it is decoded, and the streams of a thread share one buffer: between two reads a stream
//! holds only what it could not decode yet, most often nothing.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, buf::Chain};
use reqwest::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, LOCATION,
    TRANSFER_ENCODING,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ureq_proto::BodyMode;
use ureq_proto::client::state::{RecvBody, RecvResponse, SendBody};
use ureq_proto::client::{
    Await100Result, Call, RecvBodyResult, RecvResponseResult, SendRequestResult,
};
use ureq_proto::http::{self, StatusCode, Uri};

use super::{Clock, Failure, FailureCause, Prepared, REQUEST_ID};

/// Most that is read at once, and so the longest head of a request or response.
const BUFFER_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where this thread's connections are read into and decoded to; nobody waits with it in use.
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers {
        read: vec![0; BUFFER_BYTES].into(),
        decoded: vec![0; BUFFER_BYTES].into(),
    });
}

struct Buffers {
    read: Box<[u8]>,
    decoded: Box<[u8]>,
}

/// What the requests of a client carry.
#[derive(Clone)]
pub(super) struct Headers {
    /// Those that say how the connection is used, which the protocol must know of.
    framing: HeaderMap,
    /// All others, as they are written. `ureq-proto` would show them to a logger, keys and all.
    lines: Bytes,
}

impl Headers {
    pub fn new(headers: &HeaderMap) -> Headers {
        const FRAMING: [HeaderName; 5] =
            [CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING];
        let mut framing = HeaderMap::new();
        let mut lines = Vec::new();
        for (name, value) in headers {
            if FRAMING.contains(name) {
                framing.append(name, value.clone());
            } else {
                let name = name.as_str().as_bytes();
                lines.extend([name, b": ", value.as_bytes(), b"\r\n"].concat());
            }
        }
        Headers {
            framing,
            lines: lines.into(),
        }
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Headers").finish_non_exhaustive()
    }
}

/// A request as it will be sent.
pub(super) struct Request {
    uri: Uri,
    bytes: Chain<Bytes, Bytes>,
    call: Call<RecvResponse>,
}

impl Request {
    /// A `POST` with `headers`.
    ///
    /// # Errors
    /// For an address or headers that HTTP/1.1 cannot carry.
    pub fn new(prepared: Prepared, headers: &Headers) -> Result<Request, Failure> {
        encode(prepared, headers).map_err(|error| Failure {
            cause: FailureCause::Connect,
            message: format!("the request cannot be sent: {error}"),
        })
    }

    /// Where it goes.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }
}

/// Writes the head, and declares the body as sent: it goes out as it is.
fn encode(prepared: Prepared, headers: &Headers) -> Result<Request, Box<dyn std::error::Error>> {
    let uri: Uri = prepared.url.as_str().parse()?;
    let mut request = http::Request::post(uri.clone()).body(())?;
    let framing = request.headers_mut();
    framing.clone_from(&headers.framing);
    framing.insert(CONTENT_LENGTH, prepared.body.len().into());
    if let Some(id) = prepared.request_id {
        framing.insert(REQUEST_ID, id.try_into()?);
    }
    let mut call = Call::new(request)?.proceed();
    let head = BUFFERS.with_borrow_mut(|Buffers { decoded, .. }| {
        let length = call.write(decoded)?;
        // The blank line that ends the head comes after the lines of our own.
        let (first, blank) = decoded[..length].split_at(length.saturating_sub(2));
        Ok::<_, ureq_proto::Error>([first, &headers.lines, blank].concat())
    })?;
    let unfinished = "its head is too long";
    let call = match call.proceed()?.ok_or(unfinished)? {
        SendRequestResult::RecvResponse(call) => call,
        SendRequestResult::SendBody(call) => sent(call, prepared.body.len())?,
        // Nobody has to wait for the server's leave.
        SendRequestResult::Await100(call) => match call.proceed()? {
            Await100Result::SendBody(call) => sent(call, prepared.body.len())?,
            Await100Result::RecvResponse(call) => call,
        },
    };
    Ok(Request {
        uri,
        bytes: Bytes::from(head).chain(prepared.body),
        call,
    })
}

fn sent(
    mut call: Call<SendBody>,
    length: usize,
) -> Result<Call<RecvResponse>, Box<dyn std::error::Error>> {
    call.consume_direct_write(length)?;
    Ok(call.proceed().ok_or("its body is not whole")?)
}

/// A request under way, and its response as far as it has come.
pub(super) struct Exchange {
    /// What is left to write; `None` once all is on its way.
    unsent: Option<Chain<Bytes, Bytes>>,
    /// Why the rest of the request cannot be written. The server may have answered before it closed.
    unsendable: Option<io::Error>,
    /// Bytes of the response that were read but need more of it to be decoded.
    rest: Vec<u8>,
    /// The response's, once it is read.
    head: Option<Head>,
    /// Whether what was taken of the body is all that matters of it.
    is_over: bool,
    stage: Stage,
}

/// What matters of a response's head.
#[derive(Debug)]
pub(super) struct Head {
    pub status: StatusCode,
    /// Where a redirect leads, as the server wrote it.
    pub location: Option<String>,
}

/// How far a response is read.
enum Stage {
    Head(Call<RecvResponse>),
    Body(StatusCode, Call<RecvBody>),
    Ended {
        reusable: bool,
    },
    /// Not to be read any further.
    Broken,
}

impl Exchange {
    pub fn new(request: Request) -> Exchange {
        Exchange {
            unsent: Some(request.bytes),
            unsendable: None,
            rest: Vec::new(),
            head: None,
            is_over: false,
            stage: Stage::Head(request.call),
        }
    }

    /// Sends the request and reads the response to its end, or until `take` breaks off; a further call reads
    /// on. `take` is given each read's part of the body, and when it was read (ns).
    ///
    /// # Errors
    /// Those of `take`, and a connection that ends or speaks otherwise than it should.
    pub async fn run(
        &mut self,
        connection: &mut (impl AsyncRead + AsyncWrite + Unpin),
        clock: Clock,
        mut take: impl FnMut(StatusCode, &[u8], u64) -> Taken,
    ) -> Result<(), Failure> {
        self.is_over = false;
        if let Stage::Ended { .. } = self.stage {
            return Ok(());
        }
        poll_fn(|cx| {
            self.poll_send(cx, connection);
            self.poll_receive(cx, connection, clock, &mut take)
        })
        .await
    }

    /// The response's head, if it has come, however the rest ended.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Whether another request can follow on the connection.
    pub fn is_reusable(&self) -> bool {
        let can_follow = matches!(self.stage, Stage::Ended { reusable: true });
        can_follow && self.unsent.is_none() && self.rest.is_empty()
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, connection: &mut (impl AsyncWrite + Unpin)) {
        let (Some(unsent), None) = (&mut self.unsent, &self.unsendable) else {
            return;
        };
        let mut connection = Pin::new(connection);
        let sent = loop {
            if !unsent.has_remaining() {
                break connection.poll_flush(cx);
            }
            let mut slices = [IoSlice::new(&[]); 2];
            let count = unsent.chunks_vectored(&mut slices);
            match connection
                .as_mut()
                .poll_write_vectored(cx, &slices[..count])
            {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => unsent.advance(written),
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        match sent {
            Poll::Ready(Ok(())) => self.unsent = None,
            Poll::Ready(Err(error)) => self.unsendable = Some(error),
            Poll::Pending => {}
        }
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut (impl AsyncRead + Unpin),
        clock: Clock,
        take: &mut impl FnMut(StatusCode, &[u8], u64) -> Taken,
    ) -> Poll<Result<(), Failure>> {
        BUFFERS.with_borrow_mut(|Buffers { read, decoded }| {
            loop {
                let kept = self.rest.len();
                read[..kept].copy_from_slice(&self.rest);
                let mut fresh = ReadBuf::new(&mut read[kept..]);
                let arrived = ready!(Pin::new(&mut *connection).poll_read(cx, &mut fresh));
                let arrived_ns = clock.now_ns();
                let count = fresh.filled().len();
                if arrived.is_err() || count == 0 {
                    return Poll::Ready(self.close(arrived.err()));
                }
                self.rest.clear();
                self.decode(
                    &read[..kept + count],
                    decoded,
                    &mut |status, bytes: &[u8]| take(status, bytes, arrived_ns),
                )?;
                if self.is_over || matches!(self.stage, Stage::Ended { .. }) {
                    return Poll::Ready(Ok(()));
                }
            }
        })
    }

    /// Decodes what can be decoded of `bytes` and keeps the rest.
    fn decode(
        &mut self,
        mut bytes: &[u8],
        decoded: &mut [u8],
        take: &mut impl FnMut(StatusCode, &[u8]) -> Taken,
    ) -> Result<(), Failure> {
        loop {
            let used = match &mut self.stage {
                Stage::Head(call) => {
                    let (used, response) = call.try_response(bytes, false).map_err(malformed)?;
                    if let Some(response) = response {
                        self.end_head(&response)?;
                    }
                    used
                }
                Stage::Body(status, call) => {
                    let (used, length) = call.read(bytes, decoded).map_err(malformed)?;
                    if length > 0 {
                        self.is_over |= take(*status, &decoded[..length])?.is_break();
                    }
                    if call.can_proceed() && call.body_mode() != BodyMode::CloseDelimited {
                        self.end_body();
                    }
                    used
                }
                Stage::Ended { .. } | Stage::Broken => 0,
            };
            bytes = &bytes[used..];
            if used == 0 || bytes.is_empty() {
                break;
            }
        }
        self.rest.extend_from_slice(bytes);
        if self.rest.len() == BUFFER_BYTES {
            return Err(malformed("a head of 64 KiB and more"));
        }
        Ok(())
    }

    /// Goes on to the body, if there is one.
    fn end_head(&mut self, response: &http::Response<()>) -> Result<(), Failure> {
        let Stage::Head(call) = std::mem::replace(&mut self.stage, Stage::Broken) else {
            return Ok(());
        };
        let status = response.status();
        let header = |name: HeaderName| {
            let value = response.headers().get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        self.head = Some(Head {
            status,
            location: header(LOCATION),
        });
        let coding = header(CONTENT_ENCODING).filter(|coding| !is_plain(coding.trim()));
        if let Some(coding) = coding {
            return Err(compressed(&coding));
        }
        self.stage = match call.proceed() {
            Some(RecvResponseResult::RecvBody(call)) => Stage::Body(status, call),
            Some(RecvResponseResult::Cleanup(call)) => Stage::Ended {
                reusable: !call.must_close_connection(),
            },
            // A redirect is not followed: it would time two requests as one, and could carry the key elsewhere.
            Some(RecvResponseResult::Redirect(_)) => Stage::Ended { reusable: false },
            None => return Err(malformed("a head that says nothing of its body")),
        };
        Ok(())
    }

    /// Ends a response whose body has come whole.
    fn end_body(&mut self) {
        if let Stage::Body(_, call) = std::mem::replace(&mut self.stage, Stage::Broken) {
            let reusable = match call.proceed() {
                Some(RecvBodyResult::Cleanup(call)) => !call.must_close_connection(),
                Some(RecvBodyResult::Redirect(_)) | None => false,
            };
            self.stage = Stage::Ended { reusable };
        }
    }

    /// The connection was closed, or broke with `error`.
    fn close(&mut self, error: Option<io::Error>) -> Result<(), Failure> {
        // TLS calls it an error where the server closes without a goodbye.
        let closed = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
        let before = match std::mem::replace(&mut self.stage, Stage::Broken) {
            Stage::Body(_, call)
                if error.as_ref().is_none_or(closed)
                    && (call.body_mode() == BodyMode::CloseDelimited
                        || call.is_ended_chunked()) =>
            {
                self.stage = Stage::Ended { reusable: false };
                return Ok(());
            }
            Stage::Body(..) => "before the response's end",
            _ => "before a response",
        };
        // Where the request could not be written, that came first.
        let message = match self.unsendable.take().or(error) {
            Some(error) => format!("the connection broke {before}: {error}"),
            None => format!("the server closed the connection {before}"),
        };
        Err(Failure {
            cause: FailureCause::StreamCut,
            message,
        })
    }
}

/// Whether a content coding leaves the content as it is.
fn is_plain(coding: &str) -> bool {
    coding.is_empty() || coding.eq_ignore_ascii_case("identity")
}

/// What came of a part of the body: whether more of it is wanted.
pub(super) type Taken = Result<ControlFlow<()>, Failure>;

fn compressed(coding: &str) -> Failure {
    Failure {
        cause: FailureCause::Compressed,
        message: format!(
            "the response is compressed (Content-Encoding: {}), which bundles tokens and was not asked for: turn compression off in the server or the proxy before it",
            super::one_line(coding)
        ),
    }
}

fn malformed(error: impl std::fmt::Display) -> Failure {
    Failure {
        cause: FailureCause::Malformed,
        message: format!("not HTTP/1.1: {error}"),
    }
}

#[cfg(test)]
mod tests;
