use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::whole_file::{Destination, WholeFile, named, temporary_beside};

/// Criterion's output directory, by the rules of Criterion: `CRITERION_HOME`, else `criterion` in
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

/// The directory of servemark's own files, beside Criterion's.
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

/// Writes a file completely or not at all: a temporary file in the same directory, then a rename.
///
/// Creates the directory if it is missing. A device or a pipe is written to, never replaced; for a link its
/// target is replaced.
///
/// # Errors
/// An I/O error that names the path.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = WholeFile::create(path)?;
    file.write_all(bytes)
        .map_err(|error| named(path, error))
        .and_then(|()| file.commit())
}

/// Writes a file as [`write_atomically`] does, from what `write` hands over piece by piece: the whole is never in
/// memory.
///
/// # Errors
/// An I/O error that names the path.
pub(crate) fn write_in_pieces(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = BufWriter::new(WholeFile::create(path)?);
    let written = write(&mut file).and_then(|()| file.into_inner().map_err(|e| e.into_error()));
    written.map_err(|error| named(path, error))?.commit()
}

/// Writes a file completely or not at all, but does not wait for the disk: for messages between processes, and
/// for pages that can be written again after a power loss.
///
/// # Errors
/// An I/O error that names the path.
pub(crate) fn write_atomically_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = WholeFile::create(path)?;
    file.write_all(bytes)
        .map_err(|error| named(path, error))
        .and_then(|()| file.appear())
}

/// Checks whether [`write_atomically`] could write a file, without writing it. Creates its directory.
///
/// # Errors
/// An I/O error that names the path.
pub fn check_writable(path: &Path) -> io::Result<()> {
    match Destination::of(path)? {
        Destination::File(path) => temporary_beside(&path).map(drop),
        // Opening a pipe would wait for its reader.
        Destination::Stream(_) => Ok(()),
    }
}

/// Checks whether files can be written into a directory, which is created if it is missing.
///
/// # Errors
/// An I/O error that names the path.
pub fn check_writable_directory(directory: &Path) -> io::Result<()> {
    let created = std::fs::create_dir_all(directory);
    created.map_err(|error| named(directory, error))?;
    temporary_beside(&directory.join("file")).map(drop)
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

    #[test]
    fn an_unwritable_directory_is_detected_beforehand() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a/b.json");
        check_writable(&file).unwrap();
        assert!(!file.exists(), "nothing is written");
        check_writable_directory(&directory.path().join("a/c")).unwrap();
        write_atomically(&file, b"x").unwrap();
        for wrong in [file.join("d.json"), directory.path().join("a/c")] {
            let error = check_writable(&wrong).unwrap_err().to_string();
            assert!(error.contains(wrong.to_str().unwrap()), "{error}");
            assert!(write_atomically(&wrong, b"x").is_err());
        }
        let error = check_writable_directory(&file).unwrap_err().to_string();
        assert!(error.contains("b.json"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn devices_pipes_and_links_are_written_to_and_stay() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read(pipe).unwrap()
        });
        check_writable(&pipe).unwrap();
        write_atomically(&pipe, b"through").unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
        let is_pipe = |path| std::fs::metadata(path).unwrap().file_type().is_fifo();
        assert!(is_pipe(&pipe));

        let [file, link] = ["file", "link"].map(|name| directory.path().join(name));
        std::fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert!(link.is_symlink());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_an_error_that_names_it() {
        let error = write_atomically(Path::new("/dev/full"), b"x").unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");
        assert!(!Path::new("/dev/full").is_file(), "and stays a device");
    }
}
