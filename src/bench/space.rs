//! Whether the disk has space for what a run will keep.

use indicatif::DecimalBytes;

use super::context::RunContext;
use super::point_info::PointInfo;
use crate::results::directory;

/// Size of a request in a record (bytes), without its tokens.
const PER_REQUEST: u64 = 64;

/// Of a content event: a short number and a comma (bytes).
const PER_EVENT: u64 = 2;

/// Of a point: the rest of its record, its row and its page (bytes).
const PER_POINT: u64 = 128 << 10;

/// Says what is too little on the disk for the records that these runs will write.
pub(super) fn problem(runs: &[RunContext]) -> Option<String> {
    let needed = runs.iter().map(least_bytes).fold(0, u64::saturating_add);
    // Where the system does not say, the run finds out.
    let available = fs4::available_space(directory()).ok()?;
    (available < needed).then(|| {
        format!(
            "the records of this run take {} at least, and {} has {} left: make space, or keep this run elsewhere (CRITERION_HOME=DIRECTORY)",
            DecimalBytes(needed),
            directory().display(),
            DecimalBytes(available)
        )
    })
}

/// Returns the least size of a run's records: a window has at least one round of requests.
fn least_bytes(context: &RunContext) -> u64 {
    if context.lock.is_none() {
        return 0;
    }
    let windows = context.args.sampling().windows as u64;
    let points = context.selected().map(|point| {
        let request = request_bytes(context, &point);
        let requests =
            windows.saturating_mul(point.level.concurrency().map_or(1, |c| c.get() as u64));
        requests.saturating_mul(request).saturating_add(PER_POINT)
    });
    let names = context.names_written().len() as u64;
    points.fold(0, u64::saturating_add).saturating_mul(names)
}

/// Returns the size of a request of a point, of the mean length where they differ.
fn request_bytes(context: &RunContext, point: &PointInfo<'_>) -> u64 {
    let config = &context.config;
    let tokens = match point.output_tokens {
        Some(tokens) => tokens.mean as u64,
        None => config.max_new_tokens.get().into(),
    };
    let events = if config.stream { tokens } else { 0 };
    events.saturating_mul(PER_EVENT).saturating_add(PER_REQUEST)
}
