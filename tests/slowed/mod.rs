//! A simulated server in this process that is slower than others by an exact factor.

use std::sync::Arc;

use servemark::internals::engine::{Engine, EngineOptions, Preset, Slowdown};
use servemark::internals::prompt::shipped_tokenizer;

/// A server whose steps take `factor` as long.
pub fn slowed(factor: f64) -> Engine {
    let preset = Preset::named("sim-small").expect("a shipped preset");
    let tokenizer = Arc::new(shipped_tokenizer().expect("a shipped tokenizer"));
    let mut options = EngineOptions::new(preset, tokenizer);
    options.slowdown = Slowdown::uniform(factor);
    Engine::start(options).expect("an engine")
}
