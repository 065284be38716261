//! How many windows are taken of a load, how long they are, and in which order two loads take turns.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::paced_load::Load;
use super::window::Window;

/// A load from which windows are taken one after another.
pub trait Rounds {
    /// The window of the next `rounds` rounds.
    fn window(&mut self, rounds: u64) -> Window;

    /// Returns whether sampling ends with the windows taken so far.
    fn is_over(&self) -> bool {
        false
    }

    /// Called in a turn after its warm-up, before its window of `rounds` rounds is taken.
    fn warmed_up(&mut self, _warm_up: &Window, _iterations: u64) {}
}

impl Rounds for Load {
    fn window(&mut self, rounds: u64) -> Window {
        Load::window(self, rounds)
    }

    fn is_over(&self) -> bool {
        self.is_cut()
    }
}

/// How a point is sampled: as Criterion does it in flat sampling, but without Criterion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Least warm-up; it ends with a round.
    pub warm_up: Duration,
    /// About how long all windows take together.
    pub measurement: Duration,
    /// How many there are.
    pub windows: usize,
}

impl Sampling {
    /// The benches' default: Criterion's defaults suit functions of
    /// microseconds; a point of serving wants fewer, longer samples.
    pub const DEFAULT: Sampling = Sampling {
        warm_up: Duration::from_millis(500),
        measurement: Duration::from_millis(2_500),
        windows: 10,
    };

    /// Warms `load` up and takes the windows; a window without any success is the last.
    #[doc(hidden)]
    pub fn run(&self, load: &mut impl Rounds) -> Vec<Window> {
        let warm_up = self.warm_up(load);
        if !warm_up.has_success() {
            return vec![warm_up];
        }
        self.windows(load, self.rounds(&warm_up))
    }

    /// Takes the windows, of `rounds` rounds each; one without any success is the last. None where the
    /// load is over already.
    pub(crate) fn windows(&self, load: &mut impl Rounds, rounds: u64) -> Vec<Window> {
        let mut windows = Vec::with_capacity(self.windows);
        while windows.len() < self.windows && !load.is_over() {
            windows.push(load.window(rounds));
            if failed(&windows) {
                break;
            }
        }
        windows
    }

    /// Measures two loads in turns: window i of one right before or after window i of the other, so that
    /// what happens to the machine happens to both. Each turn starts its load anew and warms it up.
    ///
    /// The order of a pair is drawn, and the next pair has the opposite one: what drifts evenly over
    /// four turns so cancels (ABBA). `start` is given the side and the end of the turn before
    /// (ns of the loads' clock). It ends where a load is over, perhaps in the middle of a pair.
    ///
    /// # Errors
    /// Those of `start`.
    #[doc(hidden)]
    pub fn in_turns<L: Rounds, E>(
        &self,
        order: &mut StdRng,
        mut start: impl FnMut(usize, u64) -> Result<L, E>,
    ) -> Result<[Vec<Window>; 2], E> {
        let mut sides = [Vec::new(), Vec::new()];
        let (mut first, mut rounds, mut at_ns) = (0, None, 0);
        for pair in 0..self.windows {
            first = match pair % 2 {
                0 => usize::from(order.random::<bool>()),
                _ => 1 - first,
            };
            for side in [first, 1 - first] {
                let mut load = start(side, at_ns)?;
                let warm_up = self.warm_up(&mut load);
                if load.is_over() {
                    return Ok(sides);
                }
                let rounds = *rounds.get_or_insert_with(|| self.rounds(&warm_up));
                load.warmed_up(&warm_up, rounds);
                let window = load.window(rounds);
                at_ns = window.end_ns;
                sides[side].push(window);
                if failed(&sides[side]) || load.is_over() {
                    return Ok(sides);
                }
            }
        }
        Ok(sides)
    }

    /// Rounds until the warm-up is over, or one without any success, as one window.
    pub(crate) fn warm_up(&self, load: &mut impl Rounds) -> Window {
        let mut warm_up = load.window(1);
        while u128::from(warm_up.wall_ns()) < self.warm_up.as_nanos()
            && warm_up.has_success()
            && !load.is_over()
        {
            warm_up.extend(load.window(1));
        }
        warm_up
    }

    /// Rounds of a window such that all windows take about [`Sampling::measurement`].
    pub(crate) fn rounds(&self, warm_up: &Window) -> u64 {
        let round_ns = warm_up.wall_ns() as f64 / warm_up.rounds.max(1) as f64;
        let window_ns = self.measurement.as_nanos() as f64 / self.windows.max(1) as f64;
        // At most what a u64 holds: the cast saturates.
        ((window_ns / round_ns).ceil() as u64).max(1)
    }
}

/// Whether the last window has no success.
fn failed(windows: &[Window]) -> bool {
    let last = windows.last();
    last.is_none_or(|window| !window.has_success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Preset;
    use crate::load::window_tests::{completed, window};
    use crate::simulation::{VirtualLoad, VirtualSetup};
    use rand::SeedableRng;

    fn virtual_load(begin_ns: u64) -> VirtualLoad {
        VirtualLoad::start(VirtualSetup {
            begin: Duration::from_nanos(begin_ns),
            ..VirtualSetup::new(Preset::named("sim-small").expect("shipped"))
        })
        .expect("sound")
    }

    #[test]
    fn windows_fill_the_measurement_in_whole_rounds() {
        let windows = Sampling::DEFAULT.run(&mut virtual_load(0));
        assert_eq!(windows.len(), 10);
        assert!(windows[0].start_ns >= 500_000_000);
        let rounds = windows[0].rounds;
        assert!(windows.iter().all(|window| window.rounds == rounds));
        let wall_ns = Window::total_wall_ns(&windows);
        assert!(
            (2_500_000_000..4_500_000_000).contains(&wall_ns),
            "{wall_ns}"
        );
    }

    #[test]
    fn turns_alternate_in_abba_order_and_follow_each_other() {
        let mut turns = Vec::new();
        let start = |side, at_ns| {
            turns.push((side, at_ns));
            Ok::<_, std::convert::Infallible>(virtual_load(at_ns))
        };
        let Ok(sides) = Sampling::DEFAULT.in_turns(&mut StdRng::seed_from_u64(3), start);
        assert_eq!(sides.each_ref().map(Vec::len), [10, 10]);
        for four in turns.chunks(4) {
            let order: Vec<usize> = four.iter().map(|(side, _)| *side).collect();
            assert!(order == [0, 1, 1, 0] || order == [1, 0, 0, 1], "{order:?}");
        }
        assert!(turns.is_sorted_by_key(|(_, at_ns)| *at_ns));
        let rounds = sides[0][0].rounds;
        assert!(sides.iter().flatten().all(|window| window.rounds == rounds));
    }

    /// A load that fails from the third window on.
    struct Failing(usize);

    impl Rounds for Failing {
        fn window(&mut self, rounds: u64) -> Window {
            self.0 += 1;
            let requests = match self.0 {
                1 | 2 => vec![completed(0, 1, 600_000_000, 2)],
                _ => vec![],
            };
            Window {
                end_ns: 600_000_000,
                rounds,
                ..window(requests, 0, 0)
            }
        }
    }

    /// A load that is over after some windows.
    struct Ending(usize);

    impl Rounds for Ending {
        fn window(&mut self, rounds: u64) -> Window {
            self.0 -= 1;
            Window {
                end_ns: 100_000_000,
                rounds,
                ..window(vec![completed(0, 1, 100_000_000, 2)], 0, 0)
            }
        }

        fn is_over(&self) -> bool {
            self.0 == 0
        }
    }

    #[test]
    fn a_load_that_is_over_gives_no_further_window() {
        let sampling = Sampling::DEFAULT;
        assert_eq!(sampling.windows(&mut Ending(3), 1).len(), 3);
        assert_eq!(sampling.windows(&mut Ending(0), 1).len(), 0);
        let warm_up = sampling.warm_up(&mut Ending(2));
        assert_eq!(warm_up.rounds, 2, "of five that 500 ms would have");
    }

    #[test]
    fn a_window_without_success_is_the_last() {
        assert_eq!(Sampling::DEFAULT.run(&mut Failing(0)).len(), 2);
        assert_eq!(Sampling::DEFAULT.run(&mut Failing(5)).len(), 1);
        let start = |_, _| Ok::<_, std::convert::Infallible>(Failing(1));
        let Ok(sides) = Sampling::DEFAULT.in_turns(&mut StdRng::seed_from_u64(3), start);
        assert_eq!(sides.iter().flatten().count(), 1);
    }
}
