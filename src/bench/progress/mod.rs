//! Where a run stands, on the terminal.

mod meter;

use std::time::{Duration, Instant};

pub use meter::Meter;

use super::point_info::PointInfo;
use crate::terminal::minutes;

/// Where a run stands: which point of how many, and how long it still takes.
pub struct Progress {
    begun: Option<Instant>,
    done: u32,
    points: u32,
    /// How long the load of a point runs.
    load_time: Duration,
    /// How long the analysis after the load takes.
    analysis: Duration,
    /// When the run will be over, as far as is known.
    over: Option<Instant>,
}

impl Progress {
    /// Criterion's analysis and plots of a point, about.
    pub const CRITERION: Duration = Duration::from_secs(1);

    /// For a run of `points` points whose loads run for `load_time` each, with `analysis` after each.
    pub fn new(points: u32, load_time: Duration, analysis: Duration) -> Progress {
        Progress {
            begun: None,
            done: 0,
            points,
            load_time,
            analysis,
            over: None,
        }
    }

    /// Prints on stderr what runs now.
    pub fn announce(&mut self, point: &PointInfo<'_>, against: &str) {
        // Booting is not part of the pace.
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let each = match self.done {
            0 => self.load_time + self.analysis,
            done => begun.elapsed() / done,
        };
        let left = each * self.points.saturating_sub(self.done);
        self.over = Some(Instant::now() + left);
        eprintln!(
            "\n[{}/{}] {} · {} · {} load · about {} left",
            self.done + 1,
            self.points,
            point.name(),
            against,
            point.config.load_shape.id,
            minutes(left)
        );
    }

    /// Returns a meter that shows the load of the announced point while it runs.
    pub fn meter(&self) -> Meter {
        let now = Instant::now();
        Meter::start(now + self.load_time, self.over.unwrap_or(now))
    }

    /// A point has been measured.
    pub fn point_done(&mut self) {
        self.done += 1;
    }
}
