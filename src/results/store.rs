use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Criterion's output directory, found as Criterion finds it: `CRITERION_HOME`, else `criterion` in
/// `CARGO_TARGET_DIR`, else in cargo's target directory, else `target/criterion`.
pub fn criterion_directory() -> PathBuf {
    if let Some(home) = std::env::var_os("CRITERION_HOME") {
        return home.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map(PathBuf::from)
        .or_else(cargo_target_directory)
        .unwrap_or_else(|| "target".into());
    target.join("criterion")
}

/// Where servemark keeps its own files, beside Criterion's.
pub fn directory() -> PathBuf {
    criterion_directory().join(super::point::RECORDS)
}

fn cargo_target_directory() -> Option<PathBuf> {
    let output = Command::new(std::env::var_os("CARGO")?)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .ok()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    Some(metadata.get("target_directory")?.as_str()?.into())
}

/// Writes a file whole or not at all: a temporary file in the same directory, then a rename.
///
/// Makes the directory if it is missing.
///
/// # Errors
/// The operating system's, with the path in its text.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).map_err(named)?;
    let mut builder = tempfile::Builder::new();
    // As any other new file, whom the user's umask lets read it: a report is for others, too.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(directory).map_err(named)?;
    file.write_all(bytes).map_err(named)?;
    file.persist(path).map_err(|e| named(e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_errors_name_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b.json");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        let below_a_file = path.join("c.json");
        let error = write_atomically(&below_a_file, b"x").unwrap_err();
        assert!(error.to_string().contains("b.json"), "{error}");
        let left = std::fs::read_dir(directory.path().join("a"))
            .unwrap()
            .count();
        assert_eq!(left, 1, "no temporary file is left");
    }
}
