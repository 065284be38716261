use std::time::Instant;

/// The one monotonic clock of a run: nanoseconds since the clock was made.
///
/// Every timestamp of a [`RequestRecord`](super::RequestRecord) and of a
/// [`Window`](crate::load::Window) is read from the same clock, so they can be
/// subtracted from one another freely.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts a clock at zero.
    pub fn start() -> Clock {
        Clock {
            origin: Instant::now(),
        }
    }

    /// Nanoseconds since the clock was started.
    pub fn now_ns(&self) -> u64 {
        // 2^64 ns are 584 years: the cast cannot lose anything.
        self.origin.elapsed().as_nanos() as u64
    }
}
