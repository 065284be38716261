//! The wave: C requests at once, wait for all, again.

use std::num::NonZeroUsize;

use super::load_shape::{Constructor, LoadShape};
use super::pacing::{Pacing, Runner, Starts, Windows};
use super::window::Window;
use crate::config::SteadyStart;
use crate::requests::Requests;

/// C requests at once, and the next C when all have finished.
pub static WAVE: LoadShape = LoadShape {
    id: "wave",
    help: "C requests at once, and the next C when all have finished",
    constructor: Constructor::Closed(wave),
};

/// The pacing of waves of `concurrency` requests.
pub(super) fn wave(_begin_ns: u64, concurrency: NonZeroUsize, _: SteadyStart) -> Pacing {
    Pacing {
        most_in_flight: concurrency,
        is_scheduled: false,
        starts: Box::new(Wave { concurrency }),
        windows: Box::new(Wave { concurrency }),
    }
}

#[derive(Debug)]
struct Wave {
    concurrency: NonZeroUsize,
}

/// Requests start only when a window is waited for.
impl Starts for Wave {}

impl Windows for Wave {
    fn window(&mut self, rounds: u64, runner: &mut dyn Runner) -> Window {
        let concurrency = self.concurrency.get();
        let start_ns = runner.now_ns();
        let (mut requests, mut end_ns) = (Requests::default(), start_ns);
        let mut wave = Vec::new();
        for _ in 0..rounds {
            runner.fill();
            let ended = std::iter::from_fn(|| runner.next()).take(concurrency);
            wave.extend(ended.map(|finished| finished.record));
            wave.sort_by_key(|record| record.end_ns);
            end_ns = wave.last().map_or(end_ns, |last| end_ns.max(last.end_ns));
            let is_whole = wave.len() == concurrency;
            requests.extend(wave.drain(..));
            if !is_whole {
                break;
            }
        }
        let mut window = Window {
            start_ns,
            end_ns,
            rounds,
            requests,
            carried_in: 0,
            carried_out: 0,
            in_flight: None,
        };
        window.count_rounds(concurrency);
        window
    }
}
