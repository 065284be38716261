//! A value of `LOAD_SHAPE`.

use std::fmt;
use std::num::NonZeroUsize;

use super::arrivals::Arrivals;
use super::pacing::Pacing;
use crate::config::SteadyStart;

/// When the next request starts.
pub struct LoadShape {
    /// Its value of `LOAD_SHAPE`.
    pub id: &'static str,
    /// A description for the command line.
    pub(super) help: &'static str,
    /// Creates its pacing.
    pub(crate) constructor: Constructor,
}

/// Creates the pacing of a load from when it begins (ns).
pub(crate) enum Constructor {
    /// Of a closed loop, from the requests in flight and how they begin.
    Closed(fn(u64, NonZeroUsize, SteadyStart) -> Pacing),
    /// Of an open loop, from the most requests in flight and when requests arrive.
    Open(fn(u64, NonZeroUsize, Arrivals) -> Pacing),
}

impl LoadShape {
    /// Whether requests arrive at a rate, whether or not earlier ones have ended.
    pub fn is_open(&self) -> bool {
        matches!(self.constructor, Constructor::Open(_))
    }
}

impl PartialEq for LoadShape {
    fn eq(&self, other: &LoadShape) -> bool {
        self.id == other.id
    }
}

impl fmt::Debug for LoadShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}
