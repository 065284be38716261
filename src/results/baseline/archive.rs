//! A baseline in one file: a gzip-compressed tar of its files, a manifest first.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::{Baseline, BaselineError, BaselineName, Baselines, at, servers};
use crate::results::{RunRecord, WholeFile};

/// What an exported file says of itself, in `servemark-baseline.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Form of the file; raised when a reader of the old form would misread the new.
    pub format_version: u32,
    /// Name of the baseline.
    pub name: String,
    /// Version of servemark that wrote the file.
    pub servemark_version: String,
    /// Software and version of the servers measured.
    pub server: String,
    /// When the last point was measured (RFC 3339).
    pub date: String,
    /// How many files follow.
    pub files: usize,
}

/// An exported baseline, unpacked and checked.
#[derive(Debug)]
pub struct Unpacked {
    /// What the file says of itself.
    pub manifest: Manifest,
    /// The baseline, which lasts as long as this.
    pub baseline: Baseline,
    /// Its records.
    pub records: Vec<RunRecord>,
    /// Deletes itself.
    _directory: TempDir,
}

/// A file that is no exported baseline, or not one that can be read.
#[derive(Debug, thiserror::Error)]
#[error("{path} is no baseline that servemark exported: {problem}")]
pub struct ArchiveError {
    path: String,
    problem: String,
}

const FORMAT_VERSION: u32 = 1;

const MANIFEST: &str = "servemark-baseline.json";

/// A file that unpacks to more is taken for an attack (bytes).
const MOST_BYTES: u64 = 16 << 30;

impl Baseline {
    /// Writes the baseline to `file`, there to be called `name`.
    ///
    /// The file appears whole or not at all; one that is there is replaced.
    ///
    /// # Errors
    /// [`BaselineError`] for records that cannot be read, and where `file` cannot be written.
    pub fn export(&self, name: &BaselineName, file: &Path) -> Result<Manifest, BaselineError> {
        let records = self.records()?;
        let files = self.files_as(name);
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            name: name.to_string(),
            servemark_version: env!("CARGO_PKG_VERSION").to_owned(),
            server: servers(&records),
            date: date(&records).to_rfc3339_opts(SecondsFormat::Secs, true),
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
        let gzip = GzEncoder::new(WholeFile::create(file)?, Compression::default());
        let mut tar = tar::Builder::new(gzip);
        append(
            &mut tar,
            Path::new(MANIFEST),
            &serde_json::to_vec_pretty(manifest)?,
        )?;
        for (from, to) in files {
            let name = to.strip_prefix(&self.criterion).unwrap_or(to);
            append(&mut tar, name, &fs::read(from)?)?;
        }
        tar.into_inner()?.finish()?.commit()
    }
}

/// When the last of these was measured.
fn date(records: &[RunRecord]) -> DateTime<Utc> {
    let ends = records.iter().map(RunRecord::ended);
    ends.max().unwrap_or_default()
}

fn append(tar: &mut tar::Builder<impl Write>, name: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, bytes)
}

impl Unpacked {
    /// Unpacks an exported file for as long as the result lives, and checks all that is in it.
    ///
    /// # Errors
    /// [`ArchiveError`] for a file that is cut short, that holds anything but the records of one baseline
    /// with Criterion's files of it, or that names a place outside of Criterion's directory.
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
        let (manifest, unpacked) = unpack(opened, directory.path()).map_err(error)?;
        let name: BaselineName = manifest.name.parse().map_err(|e| error(format!("{e}")))?;
        let baseline = Baselines::beneath(directory.path())
            .files_of(&name)
            .ok_or_else(|| error(format!("it has no record of {name}")))?;
        check_files(&baseline, &unpacked).map_err(error)?;
        let records = baseline.records()?;
        for (record, path) in records.iter().zip(baseline.record_paths()) {
            let right = record.point().record_path(name.as_str());
            if directory.path().join(&right) != path {
                let problem = format!("the record of {} lies elsewhere", record.point());
                return Err(error(problem).into());
            }
        }
        Ok(Unpacked {
            manifest,
            baseline,
            records,
            _directory: directory,
        })
    }
}

/// Unpacks into an empty directory; the manifest, and the files relative to the directory.
fn unpack(file: File, directory: &Path) -> Result<(Manifest, BTreeSet<PathBuf>), String> {
    let mut tar = tar::Archive::new(GzDecoder::new(io::BufReader::new(file)));
    let mut files = BTreeSet::new();
    let (mut manifest, mut total): (Option<Manifest>, u64) = (None, 0);
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        total = total.saturating_add(entry.size());
        if total > MOST_BYTES {
            return Err("it unpacks to more than any baseline".to_owned());
        }
        let path = entry.path().map_err(damaged)?.into_owned();
        if manifest.is_none() {
            manifest = Some(read_manifest(&path, &mut entry)?);
            continue;
        }
        let inside = path.components().all(|c| matches!(c, Component::Normal(_)));
        if !inside || !entry.header().entry_type().is_file() {
            return Err(format!("{} is no file of a baseline", path.display()));
        }
        let to = directory.join(&path);
        write(&mut entry, &to).map_err(damaged)?;
        files.insert(path);
    }
    // What follows the last entry ends with the checksum of all.
    let left = io::copy(&mut tar.into_inner().take(MOST_BYTES), &mut io::sink());
    left.map_err(damaged)?;
    match manifest {
        Some(manifest) if manifest.files == files.len() => Ok((manifest, files)),
        Some(manifest) => Err(format!(
            "it has {} of its {} files; copy it again",
            files.len(),
            manifest.files
        )),
        None => Err("it is empty".to_owned()),
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
    /// What every form says.
    #[derive(Deserialize)]
    struct Form {
        format_version: u32,
    }
    if path != Path::new(MANIFEST) {
        return Err(format!("it does not begin with {MANIFEST}"));
    }
    let mut bytes = Vec::new();
    entry
        .take(1 << 20)
        .read_to_end(&mut bytes)
        .map_err(damaged)?;
    let wrong = |error: serde_json::Error| format!("{MANIFEST}: {error}");
    let Form { format_version } = serde_json::from_slice(&bytes).map_err(wrong)?;
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
        io::ErrorKind::AlreadyExists => "it has a file twice".to_owned(),
        _ => format!("{error}"),
    }
}

/// Refuses whatever is neither a record of the baseline nor one of Criterion's files of it in JSON.
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
            return Err(format!("{relative} is no file of baseline {name}"));
        }
        let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", relative.display());
        let text = fs::read(&path).map_err(|e| wrong(&e))?;
        serde_json::from_slice::<serde::de::IgnoredAny>(&text).map_err(|e| wrong(&e))?;
    }
    Ok(())
}
