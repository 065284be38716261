//! Three layouts of a model over eight GPUs as embedded engines, to measure without GPUs.

use std::num::{NonZeroU32, NonZeroUsize};

/// A number of engines, each with a number of simulated GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedLayout {
    /// `2x4`.
    pub name: &'static str,
    /// Number of engines.
    pub replicas: NonZeroUsize,
    /// Simulated GPUs of each engine.
    pub gpus_per_replica: NonZeroU32,
    /// The preset of each engine.
    pub preset: &'static str,
}

const fn layout(
    name: &'static str,
    replicas: usize,
    gpus_per_replica: u32,
    preset: &'static str,
) -> EmbeddedLayout {
    EmbeddedLayout {
        name,
        replicas: NonZeroUsize::new(replicas).unwrap(),
        gpus_per_replica: NonZeroU32::new(gpus_per_replica).unwrap(),
        preset,
    }
}

/// Llama 3.1 70B over eight H100: 1×8, 2×4 and 4×2.
pub const LAYOUTS: [EmbeddedLayout; 3] = [
    layout("1x8", 1, 8, "llama3-70b-h100-tp8"),
    layout("2x4", 2, 4, "llama3-70b-h100-tp4"),
    layout("4x2", 4, 2, "llama3-70b-h100-tp2"),
];
