//! Whether a server became slower: two sets of runs compared, figure by figure.
//!
//! A *side* is one version, deployment or commit: the run records of its points, one run or several.
//! For each point that both sides have and each [`Figure`], a [`Change`] states the relative effect with
//! its 95 % interval, and a [`Verdict`] what follows from it. `docs/statistics.md` explains each step in
//! words, with its sources; `cargo bench --bench verdict_calibration` measures how often the verdicts are
//! wrong.
//!
//! 1. A run's windows are its *blocks*. Neighbours are joined while they resemble each other more than
//!    chance would have it, as windows of a running server do.
//! 2. A bootstrap over the blocks gives the variance of the figure's logarithm within a run.
//! 3. Runs differ from each other by more than that; how much is estimated from several runs, and
//!    assumed where there is one.
//! 4. Both variances give the interval of the change and its p-value (Student's t).
//! 5. All p-values of a comparison are adjusted together (Benjamini and Hochberg).

mod about;
mod change;
mod comparable;
mod comparison;
mod failures;
mod family;
mod figure;
mod gate;
mod lengths;
mod point_side;
mod precision;
mod ranking;
mod run_set;
mod series;
mod thresholds;
mod trend;

pub use crate::results::PointKey;
pub use change::{Change, Unclear};
pub use comparable::{Difference, Incomparable};
pub use comparison::{Comparison, Finding, PointComparison, Withheld, compare, compare_pairs};
pub use family::{FALSE_DISCOVERY_RATE, Verdict};
pub use figure::Figure;
pub use gate::{Gate, Outcome, Unknown};
pub use precision::{Known, known, relative_half_width};
pub use ranking::{Contender, Ranking, Standing, rank};
pub use run_set::RunSet;
pub use thresholds::{Thresholds, ThresholdsError};
pub use trend::{Trend, by_version};
