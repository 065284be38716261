//! Files that appear completely or not at all, and the removal of those that a dead process left unfinished.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs4::{FileExt, TryLockError};
use tempfile::NamedTempFile;

/// Prefix of the names of unfinished files. The writer holds a lock on the file, which the kernel releases
/// when the writer dies.
const UNFINISHED: &str = ".servemark-";

/// Prefix of such names in servemark's own directories, of versions before the lock.
const UNFINISHED_BEFORE: &str = ".tmp";

/// An unfinished file that appears when it is complete, or not at all.
pub(crate) struct WholeFile {
    path: PathBuf,
    written: Written,
}

enum Written {
    Temporary(NamedTempFile),
    Stream(File),
}

/// What a path refers to.
pub(super) enum Destination {
    /// A regular file, which may not exist yet.
    File(PathBuf),
    /// A device or a pipe.
    Stream(PathBuf),
}

impl Destination {
    pub fn of(path: &Path) -> io::Result<Destination> {
        match std::fs::metadata(path) {
            Ok(found) if found.is_file() => {
                let path = std::fs::canonicalize(path).map_err(|error| named(path, error))?;
                Ok(Destination::File(path))
            }
            Ok(found) if found.is_dir() => {
                let error = io::Error::new(
                    io::ErrorKind::IsADirectory,
                    "this is a directory, not a file",
                );
                Err(named(path, error))
            }
            Ok(_) => Ok(Destination::Stream(path.to_owned())),
            // Other problems with the path show when the file is created.
            Err(_) => Ok(Destination::File(path.to_owned())),
        }
    }
}

impl WholeFile {
    /// Starts the file at `path`.
    ///
    /// # Errors
    /// An I/O error that names the path.
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

    /// Makes it appear once it is on the disk, replacing an existing file.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub fn commit(self) -> io::Result<()> {
        if let Written::Temporary(file) = &self.written {
            // Some file systems report only here that there is no space.
            let synced = file.as_file().sync_all();
            synced.map_err(|error| named(&self.path, error))?;
        }
        self.appear()
    }

    /// Makes it appear at once; a power loss may remove it.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub fn appear(self) -> io::Result<()> {
        let Written::Temporary(file) = self.written else {
            return Ok(());
        };
        match file.persist(&self.path) {
            Ok(_) => Ok(()),
            Err(failed) => Err(named(&self.path, failed.error)),
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

/// A temporary file in the directory of `path`, which is created if it is missing. Removes files that dead
/// writers left there.
pub(super) fn temporary_beside(path: &Path) -> io::Result<NamedTempFile> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let created = fs::create_dir_all(directory).and_then(|()| {
        clear_dead_files(directory, |name| name.starts_with(UNFINISHED));
        locked_temporary(directory)
    });
    created.map_err(|error| named(path, error))
}

fn locked_temporary(directory: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    // The user's umask decides who may read it, as for any new file: reports are for others, too.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    loop {
        let file = builder.tempfile_in(directory)?;
        match FileExt::try_lock(file.as_file()) {
            Ok(()) if file.path().exists() => return Ok(file),
            // Another process removed it before it was locked.
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            // A file system without locks: nothing is removed there.
            Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}

/// Removes unfinished files of dead writers in one of servemark's own directories and below. Files that
/// cannot be removed stay.
pub(super) fn clear_dead_files_below(directory: &Path) {
    let is_unfinished =
        |name: &str| name.starts_with(UNFINISHED) || name.starts_with(UNFINISHED_BEFORE);
    for below in clear_dead_files(directory, is_unfinished) {
        clear_dead_files_below(&below);
    }
}

/// Removes unfinished files of dead writers from a directory; returns its subdirectories.
fn clear_dead_files(directory: &Path, is_unfinished: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            directories.push(entry.path());
        } else if kind.is_file() && entry.file_name().to_str().is_some_and(&is_unfinished) {
            remove_if_dead(&entry.path());
        }
    }
    directories
}

fn remove_if_dead(path: &Path) {
    let Ok(file) = OpenOptions::new().write(true).open(path) else {
        return;
    };
    if FileExt::try_lock(&file).is_ok() {
        let _ = fs::remove_file(path);
    }
}

pub(super) fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("a directory");
        let names = entries.map(|entry| entry.expect("readable").file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn files_of_dead_writers_are_removed_and_files_of_live_ones_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let below = directory.path().join("bench/c=8");
        let mut live = WholeFile::create(&below.join("new.json")).expect("begun");
        live.write_all(b"whole").expect("written");
        let of_live = names(&below);
        // As a process that was killed leaves them: nobody holds a lock on them.
        fs::write(directory.path().join(".servemark-abc123"), "half").expect("written");
        fs::write(below.join(".tmpabc123"), "half").expect("written");
        fs::write(below.join("v1.json"), "a record").expect("written");
        clear_dead_files_below(directory.path());
        assert_eq!(names(directory.path()), ["bench"]);
        let mut left = names(&below);
        left.retain(|name| name != "v1.json");
        assert_eq!(left, of_live);
        live.commit().expect("committed");
        let mut left = names(&below);
        left.sort();
        assert_eq!(left, ["new.json", "v1.json"]);
    }

    #[test]
    fn the_next_file_beside_clears_what_is_surely_ours() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(".servemark-abc123"), "half").expect("written");
        fs::write(directory.path().join(".tmpabc123"), "another program's").expect("written");
        let file = WholeFile::create(&directory.path().join("v1.tar.gz")).expect("begun");
        file.commit().expect("committed");
        let mut left = names(directory.path());
        left.sort();
        assert_eq!(left, [".tmpabc123", "v1.tar.gz"]);
    }
}
