use crate::redact;

/// Most characters of a server's text in a message.
const MESSAGE_CHARS: usize = 300;

/// The start of a body, safe to show.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    redact::line_of(bytes, MESSAGE_CHARS)
}

/// The start of a server's text, safe to show.
pub(crate) fn one_line(text: &str) -> String {
    redact::line(text, MESSAGE_CHARS)
}
