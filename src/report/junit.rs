//! The outcome of a gate as JUnit XML, which CI services show beside the tests: a suite for each bench, a
//! test case for each figure of each point.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::change;
use crate::verdict::{FigureChange, Gate, PointComparison, ResultKey, Verdict};

const NAME: &str = "servemark gate";

/// A regression is a failure, a figure without a verdict an error, an inconclusive figure skipped.
///
/// # Errors
/// An I/O error of the writer.
pub fn junit(gate: &Gate) -> std::io::Result<String> {
    let mut report = Report::new(NAME);
    let mut cases: Vec<(&str, TestCase)> = gate
        .comparison
        .figure_changes()
        .map(|(point, entry)| {
            let status = status(gate, point, entry);
            let case = case(&point.point, entry.figure.id(), status);
            (point.point.bench(), case)
        })
        .collect();
    // Points that were not measured and figures that are not defined have no entry.
    for undetermined in &gate.undetermined {
        let point = &undetermined.point;
        let mut of_point = gate
            .comparison
            .figure_changes()
            .filter(|(p, _)| p.point == *point);
        let shown = match undetermined.figure {
            None => of_point.next().is_some(),
            Some(figure) => of_point.any(|(_, entry)| entry.figure == figure),
        };
        if !shown {
            let figure = undetermined
                .figure
                .map_or("all figures", |figure| figure.id());
            let status = non_success(NonSuccessKind::Error, &undetermined.reason);
            let case = case(point, figure, status);
            cases.push((point.bench(), case));
        }
    }
    cases.sort_by_key(|(bench, _)| *bench);
    for suite in cases.chunk_by(|a, b| a.0 == b.0) {
        let mut tests = TestSuite::new(suite[0].0);
        tests.add_test_cases(suite.iter().map(|(_, case)| case.clone()));
        report.add_test_suite(tests);
    }
    report.to_string().map_err(std::io::Error::other)
}

/// A gate that could not compare the sides: one error.
///
/// # Errors
/// An I/O error of the writer.
pub fn junit_refused(reason: &str) -> std::io::Result<String> {
    let mut tests = TestSuite::new(NAME);
    tests.add_test_case(TestCase::new(
        "comparable",
        non_success(NonSuccessKind::Error, reason),
    ));
    let mut report = Report::new(NAME);
    report.add_test_suite(tests);
    report.to_string().map_err(std::io::Error::other)
}

fn case(point: &ResultKey, figure: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(figure, status);
    case.set_classname(point.name_in_bench());
    case
}

fn status(gate: &Gate, point: &PointComparison, entry: &FigureChange) -> TestCaseStatus {
    if let Some(undetermined) = gate.undetermined(&point.point, entry.figure) {
        return non_success(NonSuccessKind::Error, &undetermined.reason);
    }
    let allowed = change::allowed(entry);
    let sentence = format!("{}, allowed {allowed}", change::sentence(entry));
    match entry.verdict {
        Verdict::Regressed => non_success(NonSuccessKind::Failure, &sentence),
        Verdict::Inconclusive => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("inconclusive: {sentence}"));
            status
        }
        Verdict::Improved | Verdict::Unchanged => TestCaseStatus::success(),
    }
}

fn non_success(kind: NonSuccessKind, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message);
    status
}
