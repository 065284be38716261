use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::client::Completion;
use crate::load::Window;

/// Numbers of tokens of requests, by their sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lengths {
    /// Number of the requests.
    pub requests: u64,
    /// Tokens of all.
    pub sum: f64,
    /// Sum of the squares.
    pub squares: f64,
}

impl Lengths {
    /// The lengths by `tokens` of the successful requests of these windows.
    pub fn of<'a>(
        windows: impl IntoIterator<Item = &'a Window>,
        tokens: fn(&Completion) -> Option<u32>,
    ) -> Lengths {
        let windows = windows.into_iter();
        let lengths = windows
            .flat_map(Window::completed)
            .filter_map(|answer| tokens(&answer.outcome));
        lengths.fold(Lengths::default(), |all, length| {
            let length = f64::from(length);
            all.with(Lengths {
                requests: 1,
                sum: length,
                squares: length * length,
            })
        })
    }

    /// These and other requests.
    pub fn with(self, other: Lengths) -> Lengths {
        Lengths {
            requests: self.requests + other.requests,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }

    /// Mean length (tokens).
    pub fn mean(&self) -> f64 {
        self.sum / self.requests as f64
    }

    /// Variance of the mean.
    pub fn variance(&self) -> f64 {
        let (count, mean) = (self.requests as f64, self.mean());
        (self.squares - count * mean * mean).max(0.0) / (count - 1.0) / count
    }
}
