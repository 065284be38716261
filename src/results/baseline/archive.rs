//! A baseline in one file: a gzip-compressed tar archive of its files, which starts with a manifest.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use chrono::{DateTime, SecondsFormat};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::error::{ArchiveError, BaselineError, at};
use super::{Baseline, BaselineName, Baselines};
use crate::results::{CapacityRecord, ResultKey, RunRecord, WholeFile};

/// Description of an exported baseline: `servemark-baseline.json` in the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the archive's format; raised when a reader of the old format would misread the new one.
    pub format_version: u32,
    /// Name of the baseline.
    pub name: String,
    /// Version of servemark that wrote the file.
    pub servemark_version: String,
    /// Software and version of the servers measured.
    pub server: String,
    /// When the last point was measured (RFC 3339).
    pub date: String,
    /// Number of the files that follow.
    pub files: usize,
}

/// An exported baseline, unpacked and checked.
#[derive(Debug)]
pub struct Unpacked {
    /// Its description.
    pub manifest: Manifest,
    /// The baseline; its files are deleted with this value.
    pub baseline: Baseline,
    /// The records of its points.
    pub records: Vec<RunRecord>,
    /// The records of its capacities.
    pub capacities: Vec<CapacityRecord>,
    /// Deleted when dropped.
    _directory: TempDir,
}

/// Why a file was not unpacked.
enum NotUnpacked {
    /// What is wrong with the file.
    Archive(String),
    /// The file that cannot be written, and the error.
    Disk(PathBuf, io::Error),
}

impl From<String> for NotUnpacked {
    fn from(problem: String) -> NotUnpacked {
        NotUnpacked::Archive(problem)
    }
}

const FORMAT_VERSION: u32 = 1;

const MANIFEST: &str = "servemark-baseline.json";

/// Level of the compression. The usual 6 makes files of numbers a tenth smaller, and takes eight times as long.
const COMPRESSION: u32 = 2;

/// Limit of the unpacked size, against attacks (bytes).
const MOST_BYTES: u64 = 16 << 30;

/// Limit of a file's header with its long name and attributes, which are read into memory (bytes).
const MOST_OF_HEADER: u64 = 1 << 20;

impl Baseline {
    /// Writes the baseline to `file` under `name`.
    ///
    /// The file appears completely or not at all; an existing file is replaced.
    ///
    /// # Errors
    /// [`BaselineError`] if a record cannot be read or `file` cannot be written.
    pub fn export(&self, name: &BaselineName, file: &Path) -> Result<Manifest, BaselineError> {
        let (mut servers, mut date) = (BTreeSet::new(), DateTime::default());
        // One at a time: a record may be large.
        for path in self.point_paths() {
            let record = RunRecord::read(&path)?;
            servers.insert(record.server());
            date = date.max(record.ended());
        }
        for record in self.capacities()? {
            servers.insert(record.setup().server());
            date = date.max(record.setup().ended());
        }
        let files = self.complete_files_as(name);
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            name: name.to_string(),
            servemark_version: env!("CARGO_PKG_VERSION").to_owned(),
            server: Vec::from_iter(servers).join(", "),
            date: date.to_rfc3339_opts(SecondsFormat::Secs, true),
            files: files.len(),
        };
        at(file, self.write(&manifest, &files, file))?;
        Ok(manifest)
    }

    fn write(
        &self,
        manifest: &Manifest,
        files: &[(PathBuf, PathBuf)],
        file: &Path,
    ) -> io::Result<()> {
        let gzip = GzEncoder::new(WholeFile::create(file)?, Compression::new(COMPRESSION));
        let mut tar = tar::Builder::new(gzip);
        let json = serde_json::to_vec_pretty(manifest)?;
        append(&mut tar, Path::new(MANIFEST), json.len() as u64, &*json)?;
        for (from, to) in files {
            let name = to.strip_prefix(&self.criterion).unwrap_or(to);
            let from = File::open(from)?;
            append(&mut tar, name, from.metadata()?.len(), from)?;
        }
        tar.into_inner()?.finish()?.commit()
    }
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    name: &Path,
    size: u64,
    from: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, from)
}

impl Unpacked {
    /// Unpacks an exported baseline for as long as the result lives, and checks all its files.
    ///
    /// # Errors
    /// [`ArchiveError`] for a file that is truncated, that contains anything but the records and Criterion's
    /// files of one baseline, or a path outside of Criterion's directory.
    pub fn read(file: &Path) -> Result<Unpacked, BaselineError> {
        let directory = at(file, tempfile::tempdir())?;
        Unpacked::read_into(directory, file)
    }

    pub(super) fn read_into(directory: TempDir, file: &Path) -> Result<Unpacked, BaselineError> {
        let error = |problem: String| ArchiveError {
            path: file.display().to_string(),
            problem,
        };
        let opened = at(file, File::open(file))?;
        let unpacked = unpack(opened, directory.path());
        let (manifest, unpacked) = unpacked.map_err(|problem| match problem {
            NotUnpacked::Archive(problem) => error(problem).into(),
            NotUnpacked::Disk(path, error) => BaselineError::File {
                path: path.display().to_string(),
                error,
            },
        })?;
        let name: BaselineName = manifest.name.parse().map_err(|e| error(format!("{e}")))?;
        let baseline = Baselines::beneath(directory.path())
            .files_of(&name)?
            .ok_or_else(|| error(format!("it contains no record of {name}")))?;
        check_files(&baseline, &unpacked).map_err(error)?;
        let (records, capacities) = (baseline.records()?, baseline.capacities()?);
        let points = records.iter().map(|record| record.point().into());
        let points = points.zip(baseline.point_paths());
        let keys = capacities.iter().map(|record| record.key().into());
        let keys = keys.zip(baseline.capacity_paths());
        for (key, path) in points.chain(keys) {
            let key: ResultKey = key;
            if directory.path().join(key.record_path(name.as_str())) != path {
                let problem = format!("the record of {key} has another path");
                return Err(error(problem).into());
            }
        }
        Ok(Unpacked {
            manifest,
            baseline,
            records,
            capacities,
            _directory: directory,
        })
    }
}

/// Unpacks into an empty directory; returns the manifest and the relative paths of the files.
fn unpack(file: File, directory: &Path) -> Result<(Manifest, BTreeSet<PathBuf>), NotUnpacked> {
    let allowance = Cell::new(0);
    let mut tar = tar::Archive::new(Allowed {
        from: GzDecoder::new(io::BufReader::new(file)),
        allowance: &allowance,
    });
    let mut files = BTreeSet::new();
    let (mut manifest, mut total): (Option<Manifest>, u64) = (None, 0);
    let mut entries = tar.entries().map_err(damaged)?;
    loop {
        allowance.set(MOST_OF_HEADER);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(damaged)?;
        allowance.set(MOST_BYTES);
        total = total.saturating_add(entry.size());
        if total > MOST_BYTES {
            return Err("it unpacks to more than any baseline has".to_owned().into());
        }
        let path = entry.path().map_err(damaged)?.into_owned();
        if manifest.is_none() {
            manifest = Some(read_manifest(&path, &mut entry)?);
            continue;
        }
        let inside = path.components().all(|c| matches!(c, Component::Normal(_)));
        if !inside || !entry.header().entry_type().is_file() {
            return Err(format!("{} is not a file of a baseline", path.display()).into());
        }
        let to = directory.join(&path);
        write(&mut entry, &to).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                NotUnpacked::Disk(to, error)
            }
            _ => damaged(error).into(),
        })?;
        files.insert(path);
    }
    allowance.set(MOST_BYTES);
    // The checksum of the whole file follows the last entry.
    let left = io::copy(&mut tar.into_inner().take(MOST_BYTES), &mut io::sink());
    left.map_err(damaged)?;
    match manifest {
        Some(manifest) if manifest.files == files.len() => Ok((manifest, files)),
        Some(manifest) => Err(format!(
            "it contains {} of its {} files; copy it again",
            files.len(),
            manifest.files
        )
        .into()),
        None => Err("it is empty".to_owned().into()),
    }
}

/// Reads as many bytes as are currently allowed, then fails.
struct Allowed<'a, R> {
    from: R,
    allowance: &'a Cell<u64>,
}

impl<R: Read> Read for Allowed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = usize::try_from(self.allowance.get()).unwrap_or(usize::MAX);
        let most = buffer.len().min(allowed);
        if most == 0 && !buffer.is_empty() {
            return Err(io::Error::other("a part of it is too large"));
        }
        let count = self.from.read(&mut buffer[..most])?;
        self.allowance.set(self.allowance.get() - count as u64);
        Ok(count)
    }
}

fn write(from: &mut impl Read, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    io::copy(from, &mut File::create_new(to)?)?;
    Ok(())
}

fn read_manifest(path: &Path, entry: &mut impl Read) -> Result<Manifest, String> {
    /// The field that all versions have.
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
    }
    if path != Path::new(MANIFEST) {
        return Err(format!("it does not start with {MANIFEST}"));
    }
    let mut bytes = Vec::new();
    entry
        .take(1 << 20)
        .read_to_end(&mut bytes)
        .map_err(damaged)?;
    let wrong = |error: serde_json::Error| format!("{MANIFEST}: {error}");
    let Version { format_version } = serde_json::from_slice(&bytes).map_err(wrong)?;
    if format_version != FORMAT_VERSION {
        return Err(format!(
            "its format_version is {format_version}, this servemark reads {FORMAT_VERSION}; read it with the servemark that wrote it"
        ));
    }
    serde_json::from_slice(&bytes).map_err(wrong)
}

fn damaged(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early; copy it again".to_owned(),
        io::ErrorKind::AlreadyExists => "it contains a file twice".to_owned(),
        _ => format!("{error}"),
    }
}

/// Rejects files that are neither a record of the baseline nor one of Criterion's JSON files of it.
fn check_files(baseline: &Baseline, unpacked: &BTreeSet<PathBuf>) -> Result<(), String> {
    let known: BTreeSet<PathBuf> = baseline
        .files_as(&baseline.name)
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    for relative in unpacked {
        let path = baseline.criterion.join(relative);
        if !known.contains(&path) {
            let (relative, name) = (relative.display(), &baseline.name);
            return Err(format!("{relative} is not a file of baseline {name}"));
        }
        let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", relative.display());
        let file = File::open(&path).map_err(|e| wrong(&e))?;
        serde_json::from_reader::<_, serde::de::IgnoredAny>(io::BufReader::new(file))
            .map_err(|e| wrong(&e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_megabytes_is_refused_before_it_is_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("long.tar.gz");
        let gzip = GzEncoder::new(File::create(&path).unwrap(), Compression::fast());
        let mut tar = tar::Builder::new(gzip);
        let mut name = tar::Header::new_gnu();
        name.set_entry_type(tar::EntryType::GNULongName);
        name.set_size(1 << 40);
        name.set_cksum();
        // It says that it is larger still; so much of it is there.
        let present = io::repeat(b'a').take(4 * MOST_OF_HEADER);
        tar.append(&name, present).unwrap();
        tar.into_inner().unwrap().finish().unwrap();
        let error = Unpacked::read(&path).unwrap_err().to_string();
        assert!(error.contains("too large"), "{error}");
    }
}
