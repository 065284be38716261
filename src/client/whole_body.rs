//! The body of a response to a request outside the load, limited in size.

use reqwest::Response;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is larger than the limit.
    #[error("an answer of more than {} MiB", .most >> 20)]
    TooLarge {
        /// Most bytes.
        most: usize,
    },
    /// It ended early.
    #[error(transparent)]
    Broken(#[from] reqwest::Error),
}

/// Reads a body of at most `most` bytes.
///
/// # Errors
/// [`BodyError`]; bytes beyond the limit are not read.
pub(crate) async fn whole_body(response: &mut Response, most: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if chunk.len() > most.saturating_sub(body.len()) {
            return Err(BodyError::TooLarge { most });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
