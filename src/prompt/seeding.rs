//! Random streams that are a pure function of (seed, index, purpose).

use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

/// One step of SplitMix64's output function over `a` and `b` combined.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a
        .rotate_left(32)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(b)
        .wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number that stands for `text` in a seed (64-bit FNV-1a).
pub(super) fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// The random stream for one purpose. The generator is a named one, so that equal seeds give equal
/// prompts on every platform.
pub(super) fn stream(seed: u64, index: u64, purpose: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(mix(mix(seed, index), purpose))
}
