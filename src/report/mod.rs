//! Output for people and CI services: Markdown tables, the CSV file, verdicts, pages with plots, JUnit XML.

mod baselines;
mod capacities;
mod capacity;
mod change;
mod columns;
mod csv;
mod deployments;
pub mod export;
mod gate;
mod gate_markdown;
mod grid;
mod html;
#[cfg(feature = "cli")]
mod junit;
mod label;
mod number;
#[cfg(feature = "plan")]
mod plan;
mod plot;
mod ranking;
mod row;
mod sides;
mod style;
mod table;
mod trend;
mod verdicts;

pub use baselines::{baseline, baselines, not_measured};
pub use capacities::capacities;
pub use capacity::capacity;
pub use csv::{csv, write_csv};
pub use deployments::deployments;
pub use gate::gate;
pub use gate_markdown::{gate_markdown, gate_markdown_refused};
#[cfg(feature = "cli")]
pub(crate) use grid::grid;
pub use html::{ReportSource, capacity_page, single_page, write_pages};
#[cfg(feature = "cli")]
pub use junit::{junit, junit_refused};
#[cfg(feature = "plan")]
pub use plan::plan;
pub use row::{PointResult, Row};
pub use style::plain;
#[cfg(feature = "cli")]
pub(crate) use style::{BAD, Cell, GOOD};
pub(crate) use style::{DOUBTFUL, styled};
pub use table::{by_bench, markdown, notes, table};
pub use trend::trend;
pub use verdicts::verdicts;

#[cfg(test)]
pub(crate) mod row_tests {
    use super::*;
    use crate::load::window_tests::{completed, window};
    use crate::metrics::{FailureCount, Summary};

    fn row(result: PointResult) -> Row {
        Row {
            bench: "chat_throughput".into(),
            prompt: "25".into(),
            lengths: crate::prompt::RequestLengths::of_prompt(25),
            level: "c=8".parse().unwrap(),
            load_shape: "steady".into(),
            endpoints: 2,
            num_gpu: None,
            simulated: Some("sim-small".into()),
            insecure: false,
            partial: None,
            self_check: None,
            result,
        }
    }

    /// Of one request.
    pub(crate) fn measured() -> Row {
        measured_with(1)
    }

    /// Of so many requests, each with a TTFT of 0.2 ms and an E2EL of 1 ms.
    pub(crate) fn measured_with(requests: usize) -> Row {
        let request = completed(0, 200_000, 1_000_000, 4);
        let mut window = window(vec![request; requests], 0, 0);
        window.end_ns = 2_000_000;
        let summary = Summary::of(&[window], 7.0, 2).unwrap();
        row(PointResult::Measured(Box::new(summary)))
    }

    pub(crate) fn failed() -> Row {
        row(PointResult::Failed {
            failures: vec![FailureCount {
                cause: "HTTP 503".into(),
                count: 3,
                first_message: "busy".into(),
            }],
            blocked: vec![],
            outages: vec![],
        })
    }
}
