use std::time::{Instant, SystemTime, UNIX_EPOCH};

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

    /// The wall-clock time of this clock's zero (nanoseconds since 1970), as of now.
    pub fn unix_ns(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ns = now.unwrap_or_default().as_nanos() as u64;
        now_ns.saturating_sub(self.now_ns())
    }

    /// Nanoseconds since the clock was started.
    pub fn now_ns(&self) -> u64 {
        // 2^64 ns are 584 years: the cast cannot lose anything.
        self.origin.elapsed().as_nanos() as u64
    }
}
