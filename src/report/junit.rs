//! A gate's answer as JUnit XML, which CI services show beside the tests: a suite for each bench, a test
//! case for each figure of each point.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::change;
use crate::verdict::{Finding, Gate, PointComparison, Verdict};

const NAME: &str = "servemark gate";

/// A regression is a failure, what could not be told an error, an inconclusive figure skipped.
///
/// # Errors
/// As the writer's.
pub fn junit(gate: &Gate) -> std::io::Result<String> {
    let mut report = Report::new(NAME);
    let mut cases: Vec<(&str, TestCase)> = gate
        .comparison
        .findings()
        .map(|(point, finding)| {
            let status = status(gate, point, finding);
            let case = case(
                &point.point.prompt,
                point.point.concurrency,
                finding.figure.id(),
                status,
            );
            (point.point.bench.as_str(), case)
        })
        .collect();
    // What has no finding to stand in for it: points not measured, figures not defined.
    for unknown in &gate.unknown {
        let point = &unknown.point;
        let mut of_point = gate
            .comparison
            .findings()
            .filter(|(p, _)| p.point == *point);
        let shown = match unknown.figure {
            None => of_point.next().is_some(),
            Some(figure) => of_point.any(|(_, finding)| finding.figure == figure),
        };
        if !shown {
            let figure = unknown.figure.map_or("all figures", |figure| figure.id());
            let status = non_success(NonSuccessKind::Error, &unknown.reason);
            let case = case(&point.prompt, point.concurrency, figure, status);
            cases.push((&point.bench, case));
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

/// A gate that could not be held at all: one error.
///
/// # Errors
/// As the writer's.
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

fn case(prompt: &str, concurrency: usize, figure: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(figure, status);
    case.set_classname(format!("{prompt} c={concurrency}"));
    case
}

fn status(gate: &Gate, point: &PointComparison, finding: &Finding) -> TestCaseStatus {
    if let Some(unknown) = gate.unknown(&point.point, finding.figure) {
        return non_success(NonSuccessKind::Error, &unknown.reason);
    }
    let allowed = change::allowed(finding);
    let sentence = format!("{}, allowed {allowed}", change::sentence(finding));
    match finding.verdict {
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
