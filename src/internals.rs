//! A door for this package's own tests, benches and fuzz targets. Nothing behind it is stable.
#![allow(missing_docs, reason = "each module is documented where it is")]

/// Opens a private module under its own name.
macro_rules! open {
    ($($(#[$attribute:meta])* $module:ident),* $(,)?) => {
        $($(#[$attribute])* pub mod $module { pub use crate::$module::*; })*
    };
}

open!(
    #[cfg(feature = "cli")]
    check,
    capacity,
    client,
    config,
    deployment,
    dialect,
    embedded,
    endpoint,
    #[cfg(feature = "engine")]
    engine,
    file_limit,
    #[cfg(feature = "fit")]
    fit,
    fixture,
    #[cfg(feature = "engine")]
    fuzzing,
    level,
    load,
    measurement,
    metrics,
    panics,
    #[cfg(feature = "plan")]
    plan,
    prompt,
    report,
    requests,
    results,
    safety,
    #[cfg(feature = "engine")]
    simulation,
    stdio,
    tls,
    verdict,
);
