//! HTTP/1.1 of one request on one connection.
//!
//! `ureq-proto` implements the protocol without I/O or buffers. So an arrival is timed at the read itself,
//! before any decoding, and the streams of a thread share one buffer: between two reads a stream
//! holds only bytes that it could not decode yet, usually none.

mod buffers;
mod request;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, buf::Chain};
use reqwest::header::{CONTENT_ENCODING, HeaderName, LOCATION};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ureq_proto::BodyMode;
use ureq_proto::client::state::{RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult};
use ureq_proto::http::{self, StatusCode};

use super::clock::Clock;
use super::failure::{Failure, FailureCause};
use crate::dialect::one_line;

pub(super) use request::{Headers, Request};

use buffers::{BUFFER_BYTES, with_buffers};

/// A request in flight, and the part of its response that has arrived.
pub(super) struct Transaction {
    /// The bytes that are not sent yet; `None` once all are sent.
    unsent: Option<Chain<Bytes, Bytes>>,
    /// The error of writing the request. The server may have answered before it closed.
    write_error: Option<io::Error>,
    /// Bytes that were read but cannot be decoded without more.
    rest: Vec<u8>,
    /// The head of the response, once it is read.
    head: Option<ResponseHead>,
    /// Whether `take` needs no more of the body.
    is_over: bool,
    stage: Stage,
}

/// The used parts of a response's head.
#[derive(Debug)]
pub(super) struct ResponseHead {
    pub status: StatusCode,
    /// The `Location` of a redirect.
    pub location: Option<String>,
}

/// The next part of a response to read.
enum Stage {
    Head(Call<RecvResponse>),
    Body(StatusCode, Call<RecvBody>),
    Ended {
        reusable: bool,
    },
    /// Failed; nothing more is read.
    Broken,
}

impl Transaction {
    pub fn new(request: Request) -> Transaction {
        Transaction {
            unsent: Some(request.bytes),
            write_error: None,
            rest: Vec::new(),
            head: None,
            is_over: false,
            stage: Stage::Head(request.call),
        }
    }

    /// Sends the request and reads the response to its end, or until `take` breaks; another call continues.
    /// `take` is called with each read's part of the body, and the time of the read (ns).
    ///
    /// # Errors
    /// Errors of `take`, a connection that ends early, and a response that is not HTTP/1.1.
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

    /// The head of the response, if it has arrived.
    pub fn head(&self) -> Option<&ResponseHead> {
        self.head.as_ref()
    }

    /// Whether the connection can be used for another request.
    pub fn is_reusable(&self) -> bool {
        let can_follow = matches!(self.stage, Stage::Ended { reusable: true });
        can_follow && self.unsent.is_none() && self.rest.is_empty()
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, connection: &mut (impl AsyncWrite + Unpin)) {
        let (Some(unsent), None) = (&mut self.unsent, &self.write_error) else {
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
            Poll::Ready(Err(error)) => self.write_error = Some(error),
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
        with_buffers(|read, decoded| {
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

    /// Decodes as much of `bytes` as possible and keeps the rest.
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

    /// Continues with the body, if there is one.
    fn end_head(&mut self, response: &http::Response<()>) -> Result<(), Failure> {
        let Stage::Head(call) = std::mem::replace(&mut self.stage, Stage::Broken) else {
            return Ok(());
        };
        let status = response.status();
        let header = |name: HeaderName| {
            let value = response.headers().get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        self.head = Some(ResponseHead {
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
            None => return Err(malformed("a head without the length of its body")),
        };
        Ok(())
    }

    /// Ends a response whose body is complete.
    fn end_body(&mut self) {
        if let Stage::Body(_, call) = std::mem::replace(&mut self.stage, Stage::Broken) {
            let reusable = match call.proceed() {
                Some(RecvBodyResult::Cleanup(call)) => !call.must_close_connection(),
                Some(RecvBodyResult::Redirect(_)) | None => false,
            };
            self.stage = Stage::Ended { reusable };
        }
    }

    /// Handles a connection that was closed, or broke with `error`.
    fn close(&mut self, error: Option<io::Error>) -> Result<(), Failure> {
        // With TLS, closing without `close_notify` is an error.
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
        // A write error came first.
        let message = match self.write_error.take().or(error) {
            Some(error) => format!("the connection broke {before}: {error}"),
            None => format!("the server closed the connection {before}"),
        };
        Err(Failure::new(FailureCause::StreamCut, message))
    }
}

/// Whether a content coding does not change the content.
fn is_plain(coding: &str) -> bool {
    coding.is_empty() || coding.eq_ignore_ascii_case("identity")
}

/// Whether the reader of a body needs more of it.
pub(super) type Taken = Result<ControlFlow<()>, Failure>;

fn compressed(coding: &str) -> Failure {
    let message = format!(
        "the response is compressed (Content-Encoding: {}), which bundles tokens and was not requested: turn compression off in the server or the proxy before it",
        one_line(coding)
    );
    Failure::new(FailureCause::Compressed, message)
}

fn malformed(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureCause::Malformed, format!("not HTTP/1.1: {error}"))
}

#[cfg(test)]
mod tests;
