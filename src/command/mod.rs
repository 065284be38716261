//! One file per subcommand: its arguments, and what it prints.

pub mod baseline;
pub mod check;
pub mod compare;
pub mod completions;
pub mod engine;
pub mod fit;
pub mod gate;
pub mod man;
mod output;
pub mod plan;
pub mod report;
pub mod results;
pub mod run;
mod servers;
mod side;

/// An error with its causes, in one line; a cause that is part of the text already is not repeated.
pub fn explain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
