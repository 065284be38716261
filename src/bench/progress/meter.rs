//! A point's load, live on a terminal: how fast, how many in flight, how many failed, how long still.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::load::{Gauge, Reading};
use crate::terminal::{self, DRAWN_EVERY, minutes};

/// Rates are of the last two seconds.
const RATES_OVER: Duration = Duration::from_secs(2);

/// Units of a full bar.
const WHOLE: u64 = 1_000;

/// Shows a load until it is dropped. Draws only between [`Meter::show`] and [`Meter::hide`], as
/// Criterion writes to the same terminal at other times; nothing at all where nothing is drawn.
pub struct Meter(Option<DrawingThread>);

struct DrawingThread {
    shared: Arc<(Mutex<Picture>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

/// The state that is drawn.
struct Picture {
    /// While it is shown.
    bar: Option<ProgressBar>,
    phase: &'static str,
    begun: Instant,
    /// When the windows began, how many are to come, and how many there are.
    windows: Option<(Instant, usize, u32)>,
    /// When the point and the run are expected to be over.
    point_over: Instant,
    run_over: Instant,
    gauge: Option<Gauge>,
    /// Of the last seconds, the oldest first.
    readings: VecDeque<(Instant, Reading)>,
    /// Set when the thread that draws is to end.
    over: bool,
}

impl Meter {
    /// Shows nothing.
    pub const NONE: Meter = Meter(None);

    /// For a point that is over at about `point_over`, in a run that is over at about `run_over`.
    pub fn start(point_over: Instant, run_over: Instant) -> Meter {
        if !terminal::draws() {
            return Meter(None);
        }
        let picture = Picture {
            bar: None,
            phase: "",
            begun: Instant::now(),
            windows: None,
            point_over,
            run_over,
            gauge: None,
            readings: VecDeque::new(),
            over: false,
        };
        let shared = Arc::new((Mutex::new(picture), Condvar::new()));
        let drawn = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("servemark-meter".into())
            .spawn(move || draw(&drawn));
        // Without a thread nothing is shown, but the measurement goes on.
        Meter(thread.ok().map(|thread| DrawingThread {
            shared,
            thread: Some(thread),
        }))
    }

    /// Shows this load from now on.
    pub fn follow(&self, gauge: Gauge) {
        if let Some(mut picture) = self.picture() {
            picture.gauge = Some(gauge);
            picture.readings.clear();
        }
    }

    /// Draws, and says which part of the point runs.
    pub fn show(&self, phase: &'static str) {
        if let Some(mut picture) = self.picture() {
            picture.phase = phase;
            if picture.bar.is_none() {
                terminal::clear_line();
                picture.bar = Some(bar());
            }
            picture.draw();
        }
    }

    /// From now on windows are measured, `windows` in all: the time left is then told from their pace.
    pub fn plan(&self, windows: usize) {
        if let Some(mut picture) = self.picture() {
            picture.windows = Some((Instant::now(), windows, 0));
        }
    }

    /// A window has been measured; nothing unless they were planned.
    pub fn window_done(&self) {
        if let Some(mut picture) = self.picture() {
            picture.pace(Instant::now());
        }
    }

    /// Draws no more and clears what was drawn, until it is shown again.
    pub fn hide(&self) {
        if let Some(bar) = self.picture().and_then(|mut picture| picture.bar.take()) {
            bar.finish_and_clear();
        }
    }

    fn picture(&self) -> Option<MutexGuard<'_, Picture>> {
        let DrawingThread { shared, .. } = self.0.as_ref()?;
        // Half a picture does no harm.
        Some(shared.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.hide();
        if let Some(mut picture) = self.picture() {
            picture.over = true;
        }
        if let Some(DrawingThread { shared, thread }) = &mut self.0 {
            shared.1.notify_all();
            // A thread that has panicked draws no more either.
            let _ = thread.take().map(JoinHandle::join);
        }
    }
}

/// Draws now and then until the point is over.
fn draw((picture, wake): &(Mutex<Picture>, Condvar)) {
    let mut picture = picture.lock().unwrap_or_else(PoisonError::into_inner);
    while !picture.over {
        picture.draw();
        let woken = wake.wait_timeout(picture, DRAWN_EVERY);
        picture = woken.unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(WHOLE), terminal::target());
    bar.set_style(
        terminal::style("{prefix:<9} {bar:20.cyan/dim} {wide_msg}").progress_chars("━╸─"),
    );
    bar
}

impl Picture {
    /// Tells from the windows so far when point and run will be over.
    fn pace(&mut self, now: Instant) {
        let Some((began, planned, done)) = &mut self.windows else {
            return;
        };
        *done += 1;
        let to_come = planned.saturating_sub(*done as usize) as u32;
        let point_over = now + now.duration_since(*began) / *done * to_come;
        // The time expected for the other points does not change.
        let others = self.run_over.saturating_duration_since(self.point_over);
        self.run_over = point_over + others;
        self.point_over = point_over;
    }

    fn draw(&mut self) {
        let now = Instant::now();
        if let Some(gauge) = &self.gauge {
            self.readings.push_back((now, gauge.read()));
            while self.readings.len() > 2 && self.readings[1].0 + RATES_OVER <= now {
                self.readings.pop_front();
            }
        }
        let Some(bar) = &self.bar else {
            return;
        };
        let all = self.point_over.saturating_duration_since(self.begun);
        let share = self.begun.elapsed().as_secs_f64() / all.as_secs_f64().max(1e-9);
        bar.set_prefix(self.phase);
        bar.set_position((share.min(1.0) * WHOLE as f64) as u64);
        bar.set_message(format!(
            "{} · {}",
            rates(&self.readings),
            left(self.run_over, now)
        ));
        bar.tick();
    }
}

/// `12 s left`, as long as that is known.
fn left(over: Instant, now: Instant) -> String {
    match over.saturating_duration_since(now) {
        Duration::ZERO => "longer than planned".to_owned(),
        left => format!("{} left", minutes(left)),
    }
}

/// `1464 tok/s · 45.7 req/s · 8 in flight · 0 failed`.
fn rates(readings: &VecDeque<(Instant, Reading)>) -> String {
    let (Some((from, first)), Some((to, last))) = (readings.front(), readings.back()) else {
        return "starting".to_owned();
    };
    let seconds = to.duration_since(*from).as_secs_f64();
    if seconds <= 0.0 {
        return "starting".to_owned();
    }
    let rate = |after: u64, before: u64| after.saturating_sub(before) as f64 / seconds;
    format!(
        "{:.0} tok/s · {:.1} req/s · {} in flight · {} failed",
        rate(last.tokens, first.tokens),
        rate(last.completed, first.completed),
        last.in_flight,
        last.failed
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_pace_of_the_windows() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut picture = Picture {
            bar: None,
            phase: "",
            begun: begin,
            windows: None,
            point_over: after(3),
            run_over: after(10),
            gauge: None,
            readings: VecDeque::new(),
            over: false,
        };
        picture.pace(after(1));
        assert_eq!(picture.run_over, after(10), "no plan yet");
        picture.windows = Some((begin, 5, 0));
        picture.pace(after(20));
        assert_eq!(picture.point_over, after(100), "five windows of 20 s");
        assert_eq!(picture.run_over, after(107), "and the other points");
        for _ in 1..6 {
            picture.pace(after(100));
        }
        assert_eq!(picture.point_over, after(100), "more windows than planned");
        assert_eq!(left(after(12), begin), "12 s left");
        assert_eq!(left(begin, after(12)), "longer than planned");
    }

    #[test]
    fn rates_are_of_what_came_between_the_readings() {
        let begin = Instant::now();
        let reading = |tokens, completed| Reading {
            completed,
            failed: 3,
            in_flight: 8,
            tokens,
        };
        let mut readings = VecDeque::from([(begin, reading(100, 10))]);
        assert_eq!(rates(&readings), "starting", "no time has passed");
        readings.push_back((begin + Duration::from_secs(2), reading(3_100, 101)));
        assert_eq!(
            rates(&readings),
            "1500 tok/s · 45.5 req/s · 8 in flight · 3 failed"
        );
        assert_eq!(rates(&VecDeque::new()), "starting");
    }
}
