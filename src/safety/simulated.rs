use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::outcome::CheckOutcome;

/// Takes as long as a service would, and lets everything pass.
#[derive(Debug)]
pub(super) struct Simulated {
    delay_ms: (f64, f64),
    seed: u64,
}

impl Simulated {
    pub fn new(delay_ms: (f64, f64), seed: u64) -> Simulated {
        Simulated { delay_ms, seed }
    }

    pub async fn check(&self, index: u64) -> CheckOutcome {
        // The delay is the simulated service; nothing else waits for it.
        tokio::time::sleep(self.delay(index)).await;
        CheckOutcome::Allowed
    }

    /// Uniform between the bounds; a function of seed and index.
    fn delay(&self, index: u64) -> Duration {
        let mut rng =
            SmallRng::seed_from_u64(self.seed ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (least, most) = self.delay_ms;
        Duration::from_secs_f64(rng.random_range(least..=most) / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_lie_within_the_bounds_and_repeat_with_the_seed() {
        let check = Simulated::new((300.0, 400.0), 7);
        let delays: Vec<_> = (0..1000)
            .map(|i| check.delay(i).as_secs_f64() * 1e3)
            .collect();
        assert!(delays.iter().all(|d| (300.0..=400.0).contains(d)));
        let mean = delays.iter().sum::<f64>() / 1000.0;
        // The mean of 1000 has a standard error of 0.9 ms.
        assert!((mean - 350.0).abs() < 5.0, "{mean}");
        let again = Simulated::new((300.0, 400.0), 7);
        assert!((0..1000).all(|i| again.delay(i) == check.delay(i)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_lasts_its_delay() {
        let check = Simulated::new((300.0, 300.0), 0);
        let begin = tokio::time::Instant::now();
        assert_eq!(check.check(0).await, CheckOutcome::Allowed);
        let millis = begin.elapsed().as_millis();
        assert!((300..=302).contains(&millis), "{millis} ms");
    }
}
