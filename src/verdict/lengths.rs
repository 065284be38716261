//! Lengths of prompts and answers: sides that differ in them did different work.

use crate::metrics::Lengths;

/// Standard errors of a difference that occurs by chance in less than one of ten thousand comparisons.
const SURE: f64 = 4.0;

/// Relative differences below this are ignored, such as those from a date in a chat template.
const LEAST: f64 = 0.005;

/// Relative difference that makes it different work: as large as a change of a figure that matters.
const OTHER_WORK: f64 = 0.03;

/// The relative difference between the means; `None` if it is small or may be chance, or with fewer than two requests.
pub(super) fn difference(before: &Lengths, after: &Lengths) -> Option<f64> {
    if before.requests.min(after.requests) < 2 || before.sum <= 0.0 || after.sum <= 0.0 {
        return None;
    }
    let difference = after.mean() - before.mean();
    let relative = difference / before.mean();
    let deviation = (after.variance() + before.variance()).sqrt();
    (relative.abs() >= LEAST && difference.abs() > SURE * deviation).then_some(relative)
}

/// Whether a relative difference means that the work was different.
pub(super) fn is_other_work(difference: f64) -> bool {
    difference.abs() >= OTHER_WORK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Completion, Outcome};
    use crate::load::window_tests::{completed, window};

    fn lengths(tokens: &[u32]) -> Lengths {
        let requests = tokens.iter().map(|tokens| {
            let mut request = completed(0, 10, 1_000, 2);
            if let Outcome::Completed(completion) = &mut request.outcome {
                completion.usage_output = Some(*tokens);
            }
            request
        });
        let tokens = |c: &Completion| Some(c.output_tokens()?.0);
        Lengths::of(&[window(requests.collect(), 0, 0)], tokens)
    }

    #[test]
    fn fixed_lengths_differ_by_every_token_and_drawn_ones_beyond_chance() {
        let fixed = lengths(&[32; 20]);
        assert_eq!(difference(&fixed, &lengths(&[32; 9])), None);
        assert_eq!(difference(&fixed, &lengths(&[24; 20])), Some(-0.25));
        assert_eq!(difference(&fixed, &lengths(&[24])), None);
        let drawn: Vec<u32> = (0..40).map(|k| 10 + (k * 7) % 40).collect();
        let others: Vec<u32> = drawn.iter().map(|length| length + 2).collect();
        let drawn_lengths = lengths(&drawn);
        assert_eq!(
            difference(&drawn_lengths, &lengths(&others)),
            None,
            "chance"
        );
        let shorter: Vec<u32> = drawn.iter().map(|length| length / 3).collect();
        assert!(difference(&drawn_lengths, &lengths(&shorter)).is_some_and(is_other_work));
        assert!(!is_other_work(0.01));
    }
}
