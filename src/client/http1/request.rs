//! A request, serialised before the clock starts.

use bytes::{Buf, Bytes, buf::Chain};
use reqwest::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, TRANSFER_ENCODING,
};
use ureq_proto::client::state::{RecvResponse, SendBody};
use ureq_proto::client::{Await100Result, Call, SendRequestResult};
use ureq_proto::http::{self, Uri};

use super::buffers::with_buffers;
use crate::client::failure::{Failure, FailureCause};
use crate::client::prepared::{Prepared, REQUEST_ID};

/// The headers of a client's requests.
#[derive(Clone)]
pub(in crate::client) struct Headers {
    /// Headers about the use of the connection, which `ureq-proto` must know.
    framing: HeaderMap,
    /// All others, serialised. `ureq-proto` would log them, including keys.
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

#[cfg(test)]
impl Headers {
    pub(super) fn into_parts(self) -> (HeaderMap, Bytes) {
        (self.framing, self.lines)
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Headers").finish_non_exhaustive()
    }
}

/// A serialised request.
pub(in crate::client) struct Request {
    uri: Uri,
    /// Head and body.
    pub(super) bytes: Chain<Bytes, Bytes>,
    /// The protocol's state once all is sent.
    pub(super) call: Call<RecvResponse>,
}

impl Request {
    /// A `POST` with `headers`.
    ///
    /// # Errors
    /// For an address or headers that HTTP/1.1 cannot carry.
    pub fn new(prepared: Prepared, headers: &Headers) -> Result<Request, Failure> {
        encode(prepared, headers).map_err(|error| {
            let message = format!("the request cannot be sent: {error}");
            Failure::new(FailureCause::Connect, message)
        })
    }

    /// The address.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }
}

/// Serialises the head, and declares the body as sent.
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
    let head = with_buffers(|_, decoded| {
        let length = call.write(decoded)?;
        // The other headers come before the blank line that ends the head.
        let (first, blank) = decoded[..length].split_at(length.saturating_sub(2));
        Ok::<_, ureq_proto::Error>([first, &headers.lines, blank].concat())
    })?;
    let unfinished = "its head is too long";
    let call = match call.proceed()?.ok_or(unfinished)? {
        SendRequestResult::RecvResponse(call) => call,
        SendRequestResult::SendBody(call) => sent(call, prepared.body.len())?,
        // The body is sent without waiting for `100 Continue`.
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
