//! The mark of a simulated response.

/// Header that marks every response of the engine as simulated: the preset's name and, after semicolons, each
/// difference of the engine from it (`sim-small; speed=20`).
pub const SIMULATED_HEADER: &str = "x-servemark-simulated";
