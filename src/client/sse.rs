//! Server-sent events, incrementally: bytes in, events out.

use memchr::{memchr, memchr2};

/// Largest event (bytes): a larger one cannot be part of an answer.
const MAX_EVENT: usize = 1 << 20;

/// A byte order mark.
pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

/// Splits a byte stream into events as the WHATWG *server-sent events* format says.
///
/// Lines end with `\n`, `\r\n` or `\r`; `data` fields of one event are joined with `\n`; a blank line ends an
/// event; events without data, comments, unknown fields and a byte order mark at the start are
/// ignored. An event within one chunk of bytes is a slice of that chunk, without a copy.
#[derive(Debug, Default)]
pub struct SseDecoder {
    /// The start of an unfinished line.
    partial: Vec<u8>,
    /// `data` of the unfinished event.
    data: Vec<u8>,
    has_data: bool,
    /// `event` of the unfinished event.
    name: EventName,
    /// Whether a line has been read: a byte order mark can stand only before the first.
    has_line: bool,
    /// Whether the last byte was a `\r` that ended a line: a `\n` next belongs to it.
    skips_newline: bool,
}

/// The kind of an event by its `event` field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventName {
    /// No name, or `message`.
    #[default]
    Message,
    /// `error` or a synonym.
    Error,
    /// Any other name, such as `ping`.
    Other,
}

/// The bytes are not an event stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A line that is not text, as the name of any field would be.
    #[error("not an event stream: a line reads {0:?}")]
    NoText(String),
    /// No end of line, or of the event, within the limit.
    #[error("not an event stream: an event exceeds {MAX_EVENT} bytes")]
    TooLong,
}

impl SseDecoder {
    /// Reads the next bytes and calls `on_event` with name and data of each event that they complete.
    ///
    /// # Errors
    /// [`SseError`] when the bytes cannot be an event stream, or whatever `on_event` returns.
    pub fn feed<E: From<SseError>>(
        &mut self,
        mut bytes: &[u8],
        mut on_event: impl FnMut(EventName, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.skips_newline && !bytes.is_empty() {
            self.skips_newline = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr2(b'\n', b'\r', bytes) {
            let (line, mut rest) = (&bytes[..end], &bytes[end + 1..]);
            if bytes[end] == b'\r' {
                self.skips_newline = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            if self.partial.is_empty() {
                // The usual event is one `data` line and a blank one, and needs no copy.
                if self.is_between_events()
                    && rest.first() == Some(&b'\n')
                    && let Some(Field::Data(data)) = field(self.without_bom(line))?
                {
                    if !data.is_empty() {
                        on_event(EventName::Message, data)?;
                    }
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

    /// Ends the stream, and calls `on_event` with an unfinished event. The format would drop an event without its
    /// blank line; some servers omit the last one.
    ///
    /// # Errors
    /// As [`SseDecoder::feed`].
    pub fn finish<E: From<SseError>>(
        &mut self,
        mut on_event: impl FnMut(EventName, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let last = std::mem::take(&mut self.partial);
        if !last.is_empty() {
            self.line(&last, &mut on_event)?;
        }
        self.line(b"", &mut on_event)
    }

    /// Data of the unfinished event, including an unfinished last line.
    pub fn pending(&self) -> Option<&[u8]> {
        if self.partial.is_empty() && !self.has_data {
            return None;
        }
        match field(&self.partial) {
            Ok(Some(Field::Data(data))) if !self.has_data => Some(data),
            Ok(None) if self.has_data && self.partial.is_empty() => Some(&self.data),
            _ => None,
        }
    }

    fn is_between_events(&self) -> bool {
        !self.has_data && self.name == EventName::Message
    }

    /// The line without a byte order mark, which the first line may start with.
    fn without_bom<'a>(&mut self, line: &'a [u8]) -> &'a [u8] {
        match std::mem::replace(&mut self.has_line, true) {
            false => line.strip_prefix(BOM).unwrap_or(line),
            true => line,
        }
    }

    fn line<E: From<SseError>>(
        &mut self,
        line: &[u8],
        on_event: &mut impl FnMut(EventName, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = self.without_bom(line);
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            if std::mem::take(&mut self.has_data) {
                let data = std::mem::take(&mut self.data);
                if !data.is_empty() {
                    on_event(name, &data)?;
                }
                self.data = data;
                self.data.clear();
            }
            return Ok(());
        }
        match field(line)? {
            Some(Field::Data(data)) => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(data);
                self.has_data = true;
            }
            Some(Field::Event(name)) => self.name = name,
            None => {}
        }
        Ok(())
    }
}

fn is_error(name: &[u8]) -> bool {
    let names = [&b"error"[..], b"exception", b"fault", b"failure"];
    names.iter().any(|error| name.eq_ignore_ascii_case(error))
}

/// A field that is not ignored.
enum Field<'a> {
    Data(&'a [u8]),
    Event(EventName),
}

/// The field of a line; `None` for a comment and every other field.
fn field(line: &[u8]) -> Result<Option<Field<'_>>, SseError> {
    if let Some(value) = line.strip_prefix(b"data:") {
        return Ok(Some(Field::Data(value.strip_prefix(b" ").unwrap_or(value))));
    }
    if let Some(name) = line.strip_prefix(b"event:") {
        return Ok(Some(Field::Event(match name.trim_ascii() {
            b"" | b"message" => EventName::Message,
            name if is_error(name) => EventName::Error,
            _ => EventName::Other,
        })));
    }
    if line == b"data" {
        return Ok(Some(Field::Data(b"")));
    }
    let name = &line[..memchr(b':', line).unwrap_or(line.len())];
    match std::str::from_utf8(name) {
        Ok(name) if !name.contains(|c: char| c.is_control() && c != '\t') => Ok(None),
        _ => Err(SseError::NoText(crate::dialect::excerpt(line))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(chunks: &[&[u8]]) -> Result<Vec<(EventName, String)>, SseError> {
        let mut events = Vec::new();
        let mut on_event = |name, data: &[u8]| {
            events.push((name, String::from_utf8_lossy(data).into_owned()));
            Ok::<(), SseError>(())
        };
        let mut decoder = SseDecoder::default();
        for chunk in chunks {
            decoder.feed(chunk, &mut on_event)?;
        }
        decoder.finish(on_event)?;
        Ok(events)
    }

    fn data(chunks: &[&[u8]]) -> Vec<String> {
        let events = decode(chunks).expect("an event stream");
        events.into_iter().map(|(_, data)| data).collect()
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let stream = b"\xef\xbb\xbfdata: {\"a\":1}\n\n: hello\n\ndata:{\"b\":2}\r\n\r\nid: 7\nretry: 5\nfoo: bar\nfoo\n\
            data: one\ndata: two\n\ndata: three\r\rdata: four\r\n\r\n\r\ndata\n\ndata:\n\nevent: x\n\ndata: [DONE]\n\n";
        let expected = [
            "{\"a\":1}",
            "{\"b\":2}",
            "one\ntwo",
            "three",
            "four",
            "[DONE]",
        ];
        assert_eq!(data(&[stream]), expected);
        for size in 1..stream.len() {
            let chunks: Vec<_> = stream.chunks(size).collect();
            assert_eq!(data(&chunks), expected, "cut every {size} bytes");
        }
    }

    #[test]
    fn an_event_has_the_name_of_its_event_field_and_the_next_has_none() {
        let stream = b"event: error\ndata: a\n\ndata: b\n\nevent:ping\ndata: c\n\nevent: message\ndata: d\n\n";
        let names: Vec<_> = decode(&[stream])
            .unwrap()
            .into_iter()
            .map(|e| e.0)
            .collect();
        use EventName::{Error, Message, Other};
        assert_eq!(names, [Error, Message, Other, Message]);
    }

    #[test]
    fn an_event_without_its_blank_line_is_returned_at_the_end() {
        for end in ["data: 2\n", "data: 2", "data: 2\r"] {
            assert_eq!(data(&[b"data: 1\n\n", end.as_bytes()]), ["1", "2"], "{end}");
        }
    }

    #[test]
    fn data_of_an_unfinished_event_is_pending() {
        for (bytes, expected) in [
            ("data: [DONE]", Some("[DONE]")),
            ("data: [DONE]\n", Some("[DONE]")),
            ("data: a\n\n", None),
            ("data: a\ndata: b", None),
            (": comment", None),
        ] {
            let mut decoder = SseDecoder::default();
            let fed = decoder.feed(bytes.as_bytes(), |_, _| Ok::<(), SseError>(()));
            fed.expect("an event stream");
            let expected = expected.map(str::as_bytes);
            assert_eq!(decoder.pending(), expected, "{bytes}");
        }
    }

    #[test]
    fn a_body_that_is_not_an_event_stream_has_no_event() {
        assert!(data(&[b"<html>\n\n<p>502</p>\n</html>\n"]).is_empty());
        assert!(data(&[b"{\"error\": \"no\"}"]).is_empty());
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        for bytes in [
            &b"data: 1\n\n\xff\xfe\n"[..],
            b"a\x00b\n\n",
            b"\x1f\x8b\x08: x\n",
        ] {
            let error = decode(&[bytes]).unwrap_err();
            assert!(matches!(error, SseError::NoText(_)), "{error}");
        }
        // Comments and data are not checked.
        assert_eq!(data(&[b": \xff\n\ndata: \xff\n\n"]), ["\u{fffd}"]);
    }

    #[test]
    fn bytes_that_never_end_a_line_are_refused_at_the_limit() {
        let chunk = vec![b'x'; MAX_EVENT / 2 + 1];
        assert_eq!(decode(&[&chunk, &chunk]).unwrap_err(), SseError::TooLong);
    }
}
