//! Server-sent events, incrementally: bytes in, `data` payloads out.

use memchr::memchr;

/// An event larger than this cannot be a chunk of a chat: the stream is taken for garbage (bytes).
const MAX_EVENT: usize = 16 << 20;

/// Splits a byte stream into events as the WHATWG *server-sent events* format says.
///
/// Lines end with `\n` or `\r\n`; `data` fields of one event are joined with `\n`; a blank line ends an
/// event; comments and other fields are passed over. A whole event within one chunk of bytes is handed
/// out as a slice of that chunk, without a copy.
#[derive(Debug, Default)]
pub struct SseDecoder {
    /// The beginning of a line whose end has not arrived yet.
    partial: Vec<u8>,
    /// `data` of the event under way.
    data: Vec<u8>,
    has_data: bool,
}

/// The bytes are no event stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A line that no field of an event stream could be.
    #[error("not an event stream: a line reads {0:?}")]
    NotAField(String),
    /// No end of line within the limit.
    #[error("not an event stream: an event exceeds {MAX_EVENT} bytes")]
    TooLong,
}

impl SseDecoder {
    /// Takes the next bytes and hands each event's data that they complete to `on_event`.
    ///
    /// # Errors
    /// [`SseError`] when the bytes cannot be an event stream, or whatever `on_event` returns.
    pub fn feed<E: From<SseError>>(
        &mut self,
        mut bytes: &[u8],
        mut on_event: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.partial.is_empty() {
                // The usual event is one `data` line and a blank one: hand the line out as it lies.
                if !self.has_data
                    && rest.first() == Some(&b'\n')
                    && let Some(data) = data_of(line)?
                {
                    on_event(data)?;
                    bytes = &rest[1..];
                    continue;
                }
                self.line(line, &mut on_event)?;
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole, &mut on_event)?;
                whole.clear();
                self.partial = whole;
            }
            bytes = rest;
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() + self.data.len() > MAX_EVENT {
            return Err(SseError::TooLong.into());
        }
        Ok(())
    }

    fn line<E: From<SseError>>(
        &mut self,
        line: &[u8],
        on_event: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            if std::mem::take(&mut self.has_data) {
                on_event(&self.data)?;
                self.data.clear();
            }
            return Ok(());
        }
        if let Some(data) = data_of(line)? {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(data);
            self.has_data = true;
        }
        Ok(())
    }
}

/// The value of a `data` line; `None` for a comment or another known field.
fn data_of(line: &[u8]) -> Result<Option<&[u8]>, SseError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if let Some(value) = line.strip_prefix(b"data:") {
        return Ok(Some(value.strip_prefix(b" ").unwrap_or(value)));
    }
    let field = &line[..memchr(b':', line).unwrap_or(line.len())];
    match field {
        b"" | b"event" | b"id" | b"retry" => Ok(None),
        b"data" => Ok(Some(b"")),
        _ => Err(SseError::NotAField(super::excerpt(line))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(chunks: &[&[u8]]) -> Result<Vec<String>, SseError> {
        let mut events = Vec::new();
        let mut decoder = SseDecoder::default();
        for chunk in chunks {
            decoder.feed(chunk, |data| {
                events.push(String::from_utf8_lossy(data).into_owned());
                Ok::<(), SseError>(())
            })?;
        }
        Ok(events)
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let stream = b": hello\n\ndata: {\"a\":1}\n\ndata:{\"b\":2}\r\n\r\nevent: x\nid: 7\nretry: 5\ndata: one\ndata: two\n\ndata\n\ndata: [DONE]\n\n";
        let expected = ["{\"a\":1}", "{\"b\":2}", "one\ntwo", "", "[DONE]"];
        assert_eq!(decode(&[stream]).unwrap(), expected);
        for size in 1..stream.len() {
            let chunks: Vec<_> = stream.chunks(size).collect();
            assert_eq!(decode(&chunks).unwrap(), expected, "cut every {size} bytes");
        }
    }

    #[test]
    fn an_event_without_its_blank_line_is_not_handed_out() {
        assert_eq!(decode(&[b"data: 1\n\ndata: 2\n"]).unwrap(), ["1"]);
    }

    #[test]
    fn garbage_is_an_error_that_shows_it() {
        let error = decode(&[b"<html>502</html>\n"]).unwrap_err();
        assert!(error.to_string().contains("<html>502"), "{error}");
    }

    #[test]
    fn bytes_that_never_end_a_line_are_refused_at_the_limit() {
        let chunk = vec![b'x'; MAX_EVENT / 2 + 1];
        assert_eq!(decode(&[&chunk, &chunk]).unwrap_err(), SseError::TooLong);
    }
}
