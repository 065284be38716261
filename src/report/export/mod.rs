//! A run's figures in the formats that other programs read, one file per format.

mod csv;
mod exporter;
mod json;
mod markdown;
mod vllm;

pub use exporter::{Document, Exporter};

/// All formats, in the order of the help.
pub const EXPORTERS: [&Exporter; 4] = [
    &csv::EXPORTER,
    &markdown::EXPORTER,
    &json::EXPORTER,
    &vllm::EXPORTER,
];
