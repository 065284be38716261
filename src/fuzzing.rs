//! Parsers of outside input, each as a function of bytes: one for each fuzz target in `fuzz/`. Not part of the API.
//!
//! Each function panics if the code under test violates an invariant.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::{Arc, LazyLock};

pub use crate::client::fuzzing::{event_stream, http_exchange};
use crate::config::{ConfigSource, PrefixCache, Settings};
use crate::endpoint::ServerMetrics;
use crate::endpoint::server_metrics::delta;
use crate::engine::Preset;
use crate::prompt::{
    ChatQuestion, PromptKind, Questions, QuestionsOrigin, SourceOptions, SpecialTokens,
    TokenCounter,
};
use crate::report::export::EXPORTERS;
use crate::report::{self, Row};
use crate::results::{Baselines, CapacityRecord, RunRecord};
use crate::simulation::{VirtualLoad, VirtualSetup};
use crate::verdict::{RunSet, Thresholds, Trend, compare};

/// A fuzz target.
pub type FuzzTarget = fn(&[u8]);

/// Every target, by the name that it shares with its corpus.
pub const TARGETS: [(&str, FuzzTarget); 8] = [
    ("event_stream", event_stream),
    ("http_exchange", http_exchange),
    ("parameters", parameters),
    ("questions", questions),
    ("record", record),
    ("baseline_archive", baseline_archive),
    ("metrics", metrics),
    ("preset", preset),
];

/// Parses a `parameters.json`, followed by environment variables `NAME=VALUE`, each after a NUL byte.
pub fn parameters(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split('\0');
    let file = parts.next().unwrap_or_default();
    let variables: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
    let env = |name: &str| {
        let variable = variables.iter().find(|variable| variable.0 == name);
        variable.map(|variable| variable.1.to_owned())
    };
    match Settings::from_parts(ConfigSource::BuiltIn, file, &env) {
        Ok(config) => {
            config.public_json();
            config.secrets();
            config.endpoints();
            config.request_headers();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Reads a file of questions, and makes prompts of each.
pub fn questions(bytes: &[u8]) {
    static COUNTER: LazyLock<Option<Arc<TokenCounter>>> =
        LazyLock::new(|| TokenCounter::shipped().ok().map(Arc::new));
    let Some(counter) = &*COUNTER else { return };
    let text = String::from_utf8_lossy(bytes);
    let Ok(questions) = Questions::parse(&text, QuestionsOrigin::BuiltIn) else {
        return;
    };
    for question in questions.all() {
        for prefix_cache in [PrefixCache::Bust, PrefixCache::Shared(0.5)] {
            let options = SourceOptions {
                max_model_len: None,
                prefix_cache,
                seed: 7,
                counter,
            };
            let Ok(source) = ChatQuestion(question.text.clone()).source(&options) else {
                continue;
            };
            if let Ok(request) = source.request(1) {
                let tokens = request.prompt_tokens;
                let counted = counter.count(&request.prompt, SpecialTokens::None).ok();
                let lengths = source.lengths().prompt.rounded_mean();
                assert_eq!((tokens, counted), (lengths, Some(tokens)));
            }
        }
    }
}

/// Reads the record of a point or of a capacity, and renders it like `servemark results` and `servemark compare`.
pub fn record(bytes: &[u8]) {
    if let Some(record) = with_file(bytes, |path| CapacityRecord::read(path).ok()).flatten() {
        report::capacity(&record);
        report::capacity_page(&record);
        let side = |name: &str| RunSet::new(name, []).with_capacities([record.clone()]);
        compared([side("before"), side("after")]);
    }
    let Some(record) = with_file(bytes, |path| RunRecord::read(path).ok()).flatten() else {
        return;
    };
    report::by_bench(&[Row::of(&record)], report::table);
    for exporter in EXPORTERS {
        for document in exporter.documents(std::slice::from_ref(&record)) {
            let written = document.write(&mut std::io::sink());
            written.expect("any record can be exported");
        }
    }
    let side = |name: &str| RunSet::new(name, [record.clone()]);
    compared([side("before"), side("after")]);
}

fn compared(sides: [RunSet; 2]) {
    let thresholds = Thresholds::default();
    sides[0].time_gap();
    if let Ok(comparison) = compare(&sides[0], &sides[1], &thresholds) {
        report::verdicts(&comparison, &sides, &thresholds, false);
    }
    if let Ok(trend) = Trend::of(&sides, &thresholds) {
        report::trend(&trend, &sides, &thresholds);
    }
}

/// Imports a baseline from an archive: a compressed one as it is, or a plain tar with its checksums corrected.
pub fn baseline_archive(bytes: &[u8]) {
    let archive = match bytes.starts_with(b"\x1f\x8b") {
        true => bytes.to_vec(),
        false => match compressed(&with_checksums(bytes)) {
            Ok(archive) => archive,
            Err(_) => return,
        },
    };
    let Ok(directory) = tempfile::tempdir() else {
        return;
    };
    let baselines = Baselines::beneath(directory.path().join("criterion"));
    let import = |path: &Path| baselines.import(path, None, false);
    let Some(Ok(baseline)) = with_file(&archive, import) else {
        return;
    };
    let again = directory.path().join("again.tar.gz");
    let exported = baseline.export(&baseline.name, &again);
    exported.expect("what was imported can be exported");
    let other = Baselines::beneath(directory.path().join("other"));
    let imported = other.import(&again, None, false);
    assert_eq!(
        imported.expect("what was exported can be imported").results,
        baseline.results
    );
}

/// Reads a `/metrics` page, and takes the difference of its halves.
pub fn metrics(bytes: &[u8]) {
    if let Err(failure) = ServerMetrics::from_body(bytes) {
        let shown = failure.to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
    let (before, after) = bytes.split_at(bytes.len() / 2);
    let read = |half| ServerMetrics::from_body(half).ok();
    if let (Some(before), Some(after)) = (read(before), read(after))
        && let Ok(counted) = delta(&before, &after)
    {
        let _ = (counted.mean_ttft_ms(), counted.mean_itl_ms());
        let _ = (counted.mean_e2el_ms(), counted.prefix_cache_hit_rate());
    }
}

/// Reads an engine preset, and simulates a few requests to it in virtual time.
pub fn preset(bytes: &[u8]) {
    let Ok(preset) = Preset::from_json(&String::from_utf8_lossy(bytes)) else {
        return;
    };
    // All blocks are allocated first, which would take the whole time.
    if preset.scheduler.num_kv_blocks > 1 << 16 {
        return;
    }
    let setup = VirtualSetup {
        prompt_tokens: 20,
        shared_prefix_tokens: 10,
        output_tokens: NonZeroU32::MIN.saturating_add(3),
        concurrency: NonZeroUsize::MIN.saturating_add(3),
        ..VirtualSetup::new(preset)
    };
    if let Ok(mut load) = VirtualLoad::start(setup) {
        let window = load.window(2);
        assert!(!window.requests.is_empty(), "the load makes no progress");
        window.output_tokens();
    }
}

/// The result of `read` for a file of these bytes; `None` if the file cannot be written.
fn with_file<T>(bytes: &[u8], read: impl FnOnce(&Path) -> T) -> Option<T> {
    let file = tempfile::NamedTempFile::new().ok()?;
    std::fs::write(file.path(), bytes).ok()?;
    Some(read(file.path()))
}

fn compressed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    std::io::Write::write_all(&mut gzip, bytes)?;
    gzip.finish()
}

/// Corrects the checksums of a tar, which a fuzzer would hardly get right.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 512;
    let mut tar = bytes.to_vec();
    let mut at = 0;
    while let Some(block) = tar
        .get_mut(at..)
        .and_then(|rest| rest.first_chunk_mut::<BLOCK>())
    {
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        let mut header = tar::Header::from_byte_slice(block).clone();
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
        let size = header.entry_size().unwrap_or(0).min(bytes.len() as u64) as usize;
        at += BLOCK + size.next_multiple_of(BLOCK);
    }
    tar
}
