//! The log files of servers.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::redact;

/// Limits of the tail of a log.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: u64 = 16 * 1024;
const MOST_OF_LINE: usize = 1_000;

/// Path of a replica's log in a directory.
pub(super) fn path(directory: &Path, deployment: &str, replica: usize) -> PathBuf {
    directory.join(format!("{deployment}-{replica}.log"))
}

/// Creates an empty log.
pub(super) fn create(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    File::create(path)
}

/// The last lines of a log, indented.
pub(super) fn tail(path: &Path) -> String {
    let text = match last_bytes(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return format!("  (the log cannot be read: {error})"),
    };
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    match shown.is_empty() {
        true => "  (the log is empty)".to_owned(),
        false => Vec::from_iter(
            shown
                .iter()
                .map(|line| format!("  {}", redact::line(line, MOST_OF_LINE))),
        )
        .join("\n"),
    }
}

fn last_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_shown_without_control_characters() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/x-0.log");
        create(&path).unwrap();
        assert_eq!(tail(&path), "  (the log is empty)");
        let text: String = (0..2_000).map(|n| format!("line {n}\u{1b}\n")).collect();
        std::fs::write(&path, text).unwrap();
        let tail = tail(&path);
        assert!(tail.starts_with("  line 1980\n"), "{tail}");
        assert!(tail.ends_with("  line 1999"), "{tail}");
        assert!(super::tail(Path::new("nowhere")).contains("cannot be read"));
    }
}
