/// Why a point's load is not driven any further; thrown through Criterion, which has no other way to end a benchmark
/// early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointFailed {
    /// No request of a window succeeded.
    NoSuccess,
    /// Requests succeeded, but none of a window defines the metric.
    Undefined,
    /// The point's time was over before its windows were taken.
    OverTime,
    /// A signal ended the run.
    Interrupted,
}
