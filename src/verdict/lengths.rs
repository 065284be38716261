//! Lengths of prompts and answers: sides that differ in them did different work.

use crate::client::Completion;
use crate::load::Window;

/// Numbers of tokens of one side's requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    pub mean: f64,
    /// Variance of `mean`.
    variance: f64,
}

/// Standard errors of a difference that occurs by chance in less than one of ten thousand comparisons.
const SURE: f64 = 4.0;

/// Relative differences below this are ignored, such as those from a date in a chat template.
const LEAST: f64 = 0.005;

/// Relative difference that makes it different work: as large as a change of a figure that matters.
const OTHER_WORK: f64 = 0.03;

impl Lengths {
    /// The lengths by `tokens` of the successful requests of these runs; `None` with fewer than two values.
    pub fn of(runs: &[Vec<Window>], tokens: fn(&Completion) -> Option<u32>) -> Option<Lengths> {
        let windows = runs.iter().flatten();
        let lengths = windows
            .flat_map(Window::completed)
            .filter_map(|answer| tokens(&answer.outcome));
        let (count, sum, squares) = lengths.fold((0.0, 0.0, 0.0), |(n, sum, squares), length| {
            let length = f64::from(length);
            (n + 1.0, sum + length, squares + length * length)
        });
        if count < 2.0 || sum <= 0.0 {
            return None;
        }
        let mean = sum / count;
        let variance = (squares - count * mean * mean).max(0.0) / (count - 1.0);
        Some(Lengths {
            mean,
            variance: variance / count,
        })
    }

    /// The relative difference to `before`; `None` if it is small or may be chance.
    pub fn difference(&self, before: &Lengths) -> Option<f64> {
        let difference = self.mean - before.mean;
        let relative = difference / before.mean;
        let deviation = (self.variance + before.variance).sqrt();
        (relative.abs() >= LEAST && difference.abs() > SURE * deviation).then_some(relative)
    }
}

/// Whether a relative difference means that the work was different.
pub(super) fn is_other_work(difference: f64) -> bool {
    difference.abs() >= OTHER_WORK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Outcome;
    use crate::load::window_tests::{completed, window};

    fn lengths(tokens: &[u32]) -> Lengths {
        let requests = tokens.iter().map(|tokens| {
            let mut request = completed(0, 10, 1_000, 2);
            if let Outcome::Completed(completion) = &mut request.outcome {
                completion.usage_output = Some(*tokens);
            }
            request
        });
        let runs = [vec![window(requests.collect(), 0, 0)]];
        let tokens = |c: &Completion| Some(c.output_tokens()?.0);
        Lengths::of(&runs, tokens).expect("lengths")
    }

    #[test]
    fn fixed_lengths_differ_by_every_token_and_drawn_ones_beyond_chance() {
        let fixed = lengths(&[32; 20]);
        assert_eq!(lengths(&[32; 9]).difference(&fixed), None);
        assert_eq!(lengths(&[24; 20]).difference(&fixed), Some(-0.25));
        let drawn: Vec<u32> = (0..40).map(|k| 10 + (k * 7) % 40).collect();
        let others: Vec<u32> = drawn.iter().map(|length| length + 2).collect();
        assert_eq!(
            lengths(&others).difference(&lengths(&drawn)),
            None,
            "chance"
        );
        let shorter: Vec<u32> = drawn.iter().map(|length| length / 3).collect();
        assert!(
            lengths(&shorter)
                .difference(&lengths(&drawn))
                .is_some_and(is_other_work)
        );
        assert!(!is_other_work(0.01));
    }
}
