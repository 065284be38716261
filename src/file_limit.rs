//! The limit of open files.

use rlimit::{Resource, getrlimit, setrlimit};

/// Each connection is an open file; this limit is enough for 10,000 streams and all other files.
const WANTED: u64 = 20_000;

/// A larger limit is useless, and some programs take long to close all files up to their limit.
const ENOUGH: u64 = 1 << 20;

/// The limit of open files is low and cannot be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process may open {limit} files, so about {limit} connections; further ones fail. Raise the limit with `ulimit -n {WANTED}` or LimitNOFILE"
)]
pub struct FileLimitError {
    /// Files that may be open.
    pub limit: u64,
}

/// Raises the process's limit of open files as far as the system allows, for servers and
/// clients with many connections.
///
/// # Errors
/// [`FileLimitError`] when the limit stays under 20,000.
pub fn raise_file_limit() -> Result<(), FileLimitError> {
    // If the limit cannot be read, it cannot be raised.
    let Ok((soft, hard)) = getrlimit(Resource::NOFILE) else {
        return Ok(());
    };
    let most = hard.min(ENOUGH);
    let limit = match soft < most && setrlimit(Resource::NOFILE, most, hard).is_ok() {
        true => most,
        false => soft,
    };
    match limit {
        WANTED.. => Ok(()),
        limit => Err(FileLimitError { limit }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_what_the_system_allows() {
        let (_, hard) = getrlimit(Resource::NOFILE).expect("a limit");
        let raised = raise_file_limit();
        let (soft, _) = getrlimit(Resource::NOFILE).expect("a limit");
        assert!(soft >= hard.min(ENOUGH));
        assert_eq!(raised.is_ok(), hard >= WANTED);
    }
}
