//! The body of an answer beside the load, bounded.

use reqwest::Response;

/// Why there is no whole body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is larger than any answer to the question.
    #[error("an answer of more than {} MiB", .most >> 20)]
    TooLarge {
        /// Most bytes.
        most: usize,
    },
    /// It did not come to its end.
    #[error(transparent)]
    Broken(#[from] reqwest::Error),
}

/// Reads a body of at most `most` bytes.
///
/// # Errors
/// [`BodyError`]; what is beyond the bound is not read.
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
