//! Putting the files of a baseline in the place of an older one: all of them or none.
//!
//! The new files are gathered in a hidden directory first. Its renaming is the moment at which the new
//! baseline stands: until then the old one is whole, from then on the moves are carried out, if not by this
//! process then by the next that looks for baselines.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::{BaselineError, RECORDS, at, entries};

/// Start of the name of a directory that is being filled; what is in it is nothing yet.
const GATHERED: &str = ".gathered-";

/// Start of the name of a directory whose files are to be moved.
const DECIDED: &str = ".decided-";

/// Below the directory: the new files, each at its path relative to Criterion's directory.
const NEW: &str = "new";

/// Below the directory: which old files go, as a JSON list of paths relative to Criterion's directory.
const OBSOLETE: &str = "obsolete.json";

/// Copies each file to its place below `criterion` (`files` are pairs of a file and its relative place),
/// and removes the `obsolete` ones that none of them replaces; what is there stays untouched until all have
/// been copied.
pub(super) fn replace(
    criterion: &Path,
    files: &[(PathBuf, PathBuf)],
    obsolete: BTreeSet<PathBuf>,
) -> Result<(), BaselineError> {
    let records = criterion.join(RECORDS);
    at(&records, fs::create_dir_all(&records))?;
    finish_all(criterion)?;
    let mut gathered = tempfile::Builder::new();
    let gathered = at(&records, gathered.prefix(GATHERED).tempdir_in(&records))?;
    let mut obsolete = obsolete;
    for (from, to) in files {
        at(from, gather(criterion, gathered.path(), from, to))?;
        obsolete.remove(to);
    }
    let list = Vec::from_iter(obsolete);
    let path = gathered.path().join(OBSOLETE);
    let json = serde_json::to_vec(&list).map_err(io::Error::from);
    at(&path, json.and_then(|json| fs::write(&path, json)))?;

    let decided = records.join(format!("{DECIDED}{:016x}", rand::random::<u64>()));
    at(&decided, fs::rename(gathered.path(), &decided))?;
    // It is not there any more, so nothing is removed.
    drop(gathered);
    finish(criterion, &decided)
}

/// Carries out what an earlier process has decided but not come to the end of.
pub(super) fn finish_all(criterion: &Path) -> Result<(), BaselineError> {
    for directory in entries(&criterion.join(RECORDS)) {
        let name = directory.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with(DECIDED)) {
            finish(criterion, &directory)?;
        }
    }
    Ok(())
}

/// Copies a file to where it waits, and makes the directory in which it will lie: the move itself then
/// needs no space.
fn gather(criterion: &Path, gathered: &Path, from: &Path, to: &Path) -> io::Result<()> {
    let (waits, place) = (gathered.join(NEW).join(to), criterion.join(to));
    for path in [&waits, &place] {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
    }
    if place.is_dir() {
        let problem = format!("a directory is in its place, {}", place.display());
        return Err(io::Error::new(io::ErrorKind::IsADirectory, problem));
    }
    fs::write(waits, fs::read(from)?)
}

/// Moves the files that wait and removes the obsolete ones; may be done again where it was broken off.
fn finish(criterion: &Path, decided: &Path) -> Result<(), BaselineError> {
    let new = decided.join(NEW);
    for from in files_below(&new) {
        let to = criterion.join(from.strip_prefix(&new).unwrap_or(&from));
        at(&to, unless_gone(fs::rename(&from, &to)))?;
    }
    let list = decided.join(OBSOLETE);
    let Ok(json) = fs::read(&list) else {
        // Another process has come to the end of it.
        return Ok(());
    };
    let obsolete: Vec<PathBuf> = at(
        &list,
        serde_json::from_slice(&json).map_err(io::Error::from),
    )?;
    let is_below = |path: &PathBuf| path.components().all(|c| matches!(c, Component::Normal(_)));
    for path in obsolete.iter().filter(|path| is_below(path)) {
        let path = criterion.join(path);
        at(&path, unless_gone(fs::remove_file(&path)))?;
        // One of Criterion's directories goes with its last file; others are not empty.
        let _ = path.parent().map(fs::remove_dir);
    }
    at(decided, unless_gone(fs::remove_dir_all(decided)))
}

fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in entries(directory) {
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files
}
