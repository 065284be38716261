use std::time::{Duration, Instant};

use super::point::Point;

/// Where a run stands: which point of how many, and how long it still takes.
pub(super) struct Progress {
    begun: Option<Instant>,
    done: u32,
    points: u32,
    /// What a point is expected to take, before one has been seen.
    expected: Duration,
}

impl Progress {
    /// For a run of `points` points whose loads run for `load_time` each.
    pub fn new(points: u32, load_time: Duration) -> Progress {
        Progress {
            begun: None,
            done: 0,
            points,
            // Criterion analyses and plots after each load.
            expected: load_time + Duration::from_secs(1),
        }
    }

    /// Says on stderr what runs now.
    pub fn announce(&mut self, point: &Point<'_>, against: &str) {
        // Booting is not part of the pace.
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let each = match self.done {
            0 => self.expected,
            done => begun.elapsed() / done,
        };
        let left = each * self.points.saturating_sub(self.done);
        eprintln!(
            "\n[{}/{}] {} · {} · {} load · about {} left",
            self.done + 1,
            self.points,
            point.name(),
            against,
            point.session.config.load_shape.id(),
            minutes(left)
        );
    }

    /// A point has been measured.
    pub fn point_done(&mut self) {
        self.done += 1;
    }
}

/// `2 min 05 s`, `40 s`.
fn minutes(time: Duration) -> String {
    let seconds = time.as_secs_f64().ceil() as u64;
    match seconds / 60 {
        0 => format!("{seconds} s"),
        minutes => format!("{minutes} min {:02} s", seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_left_are_rounded_up_to_seconds() {
        assert_eq!(minutes(Duration::from_millis(39_100)), "40 s");
        assert_eq!(minutes(Duration::from_secs(125)), "2 min 05 s");
    }
}
