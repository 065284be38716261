//! Comparing two sets of runs, figure by figure: whether a server became slower.
//!
//! A *side* is one version, deployment or commit: the run records of its points, one run or several.
//! For each point that both sides have and each [`Figure`], a [`Change`] states the relative effect with
//! its 95 % interval, and a [`Verdict`] the conclusion. `docs/statistics.md` explains each step in
//! words, with its sources; `cargo bench --bench verdict_calibration` measures how often the verdicts are
//! wrong.
//!
//! 1. A run's windows are its *blocks*. Neighbours are joined while they are correlated, as windows of a
//!    running server are.
//! 2. A bootstrap over the blocks gives the variance of the figure's logarithm within a run.
//! 3. Runs differ from each other by more than that: the variance between runs is estimated from several
//!    runs, and assumed for one.
//! 4. Both variances give the interval of the change and its p-value (Student's t).
//! 5. All p-values of a comparison are adjusted together (Benjamini and Hochberg).

mod blocks;
mod capacity;
mod caveats;
mod change;
mod comparable;
mod comparison;
mod failures;
mod figure;
mod gate;
mod lengths;
mod multiple_testing;
mod not_comparable;
mod point_side;
mod precision;
mod ranking;
mod run_set;
mod shared_results;
mod thresholds;
mod trend;

pub use crate::results::{PointKey, ResultKey};
pub use change::Change;
pub use comparable::{Difference, IncomparableSides};
pub use comparison::{Comparison, FigureChange, PointComparison, Withheld, compare, compare_pairs};
pub use figure::Figure;
pub use gate::{Gate, GateOutcome, Undetermined};
pub use multiple_testing::{FALSE_DISCOVERY_RATE, Verdict};
pub use not_comparable::NotComparable;
pub use precision::{Estimate, estimate, relative_half_width};
pub use ranking::{Contender, Ranked, Ranking, Standing, rank};
pub use run_set::RunSet;
pub use thresholds::{Thresholds, ThresholdsError};
pub use trend::{Trend, by_version};
