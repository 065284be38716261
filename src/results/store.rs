use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::NamedTempFile;

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
/// Makes the directory if it is missing. A device or a pipe is written to, never replaced; of a link the
/// file that it leads to is replaced.
///
/// # Errors
/// The operating system's, with the path in its text.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = WholeFile::create(path)?;
    file.write_all(bytes)
        .map_err(|error| named(path, error))
        .and_then(|()| file.commit())
}

/// Finds out whether [`write_atomically`] could write a file, without writing it. Makes its directory.
///
/// # Errors
/// The operating system's, with the path in its text.
pub fn check_writable(path: &Path) -> io::Result<()> {
    match Destination::of(path)? {
        Destination::File(path) => temporary_beside(&path).map(drop),
        // Opening a pipe would wait for its reader.
        Destination::Stream(_) => Ok(()),
    }
}

/// Finds out whether files can be written into a directory, which is made if it is missing.
///
/// # Errors
/// The operating system's, with the path in its text.
pub fn check_writable_directory(directory: &Path) -> io::Result<()> {
    let created = std::fs::create_dir_all(directory);
    created.map_err(|error| named(directory, error))?;
    temporary_beside(&directory.join("file")).map(drop)
}

/// A file under way that appears once it is whole, or not at all.
pub(crate) struct WholeFile {
    path: PathBuf,
    written: Written,
}

enum Written {
    Temporary(NamedTempFile),
    Stream(File),
}

/// What a path leads to.
enum Destination {
    /// A regular file, or none yet.
    File(PathBuf),
    /// A device or a pipe.
    Stream(PathBuf),
}

impl Destination {
    fn of(path: &Path) -> io::Result<Destination> {
        match std::fs::metadata(path) {
            Ok(found) if found.is_file() => {
                let path = std::fs::canonicalize(path).map_err(|error| named(path, error))?;
                Ok(Destination::File(path))
            }
            Ok(found) if found.is_dir() => {
                let error = io::Error::new(
                    io::ErrorKind::IsADirectory,
                    "this is a directory, a file is wanted",
                );
                Err(named(path, error))
            }
            Ok(_) => Ok(Destination::Stream(path.to_owned())),
            // What else is wrong with the path shows when the file is made.
            Err(_) => Ok(Destination::File(path.to_owned())),
        }
    }
}

impl WholeFile {
    /// Begins the file at `path`.
    ///
    /// # Errors
    /// The operating system's, with the path in its text.
    pub fn create(path: &Path) -> io::Result<WholeFile> {
        let (path, written) = match Destination::of(path)? {
            Destination::File(path) => {
                let file = temporary_beside(&path)?;
                (path, Written::Temporary(file))
            }
            Destination::Stream(path) => {
                let file = OpenOptions::new().write(true).open(&path);
                let file = file.map_err(|error| named(&path, error))?;
                (path, Written::Stream(file))
            }
        };
        Ok(WholeFile { path, written })
    }

    /// Lets it appear, in the place of one that is there.
    ///
    /// # Errors
    /// The operating system's, with the path in its text.
    pub fn commit(self) -> io::Result<()> {
        match self.written {
            Written::Stream(_) => Ok(()),
            Written::Temporary(file) => match file.persist(&self.path) {
                Ok(_) => Ok(()),
                Err(failed) => Err(named(&self.path, failed.error)),
            },
        }
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.written {
            Written::Temporary(file) => file.write(bytes),
            Written::Stream(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.written {
            Written::Temporary(file) => file.flush(),
            Written::Stream(file) => file.flush(),
        }
    }
}

/// A temporary file in the directory of `path`, which is made if it is missing.
fn temporary_beside(path: &Path) -> io::Result<NamedTempFile> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // As any other new file, whom the user's umask lets read it: a report is for others, too.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let created = std::fs::create_dir_all(directory).and_then(|()| builder.tempfile_in(directory));
    created.map_err(|error| named(path, error))
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
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
    fn what_cannot_be_written_is_known_beforehand() {
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
