use std::time::Duration;

/// Time used by the threads of one name since they started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ThreadTime {
    /// Time on a core.
    pub running: Duration,
    /// Time ready to run without a core; `None` where the kernel does not count it.
    pub waiting: Option<Duration>,
}

impl ThreadTime {
    /// Of this process's threads called `name`; `None` where the system does not tell, which is
    /// everywhere but on Linux.
    pub fn of(name: &str) -> Option<ThreadTime> {
        // The kernel keeps the first 15 bytes of a name.
        let name = name.get(..15).unwrap_or(name);
        let mut total: Option<ThreadTime> = None;
        for thread in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
            let read = |file: &str| std::fs::read_to_string(thread.path().join(file)).ok();
            // A thread may end while it is looked at.
            if read("comm").is_none_or(|comm| comm.trim_end() != name) {
                continue;
            }
            let Some(running) = read("stat").and_then(|stat| running(&stat)) else {
                continue;
            };
            let waiting = read("schedstat").and_then(|stat| waiting(&stat));
            total = Some(match total {
                None => ThreadTime { running, waiting },
                Some(total) => ThreadTime {
                    running: total.running + running,
                    waiting: total.waiting.zip(waiting).map(|(a, b)| a + b),
                },
            });
        }
        total
    }
}

/// User and system time of a `stat` file: behind the name, which may hold anything, the 12th and
/// 13th field (proc(5)), in hundredths of a second on every platform of note.
fn running(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks()? + ticks()?)))
}

/// Nanoseconds waiting: the second field of a `schedstat` file, of kernels that keep one.
fn waiting(schedstat: &str) -> Option<Duration> {
    let field = schedstat.split_whitespace().nth(1)?;
    Some(Duration::from_nanos(field.parse().ok()?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_kernels_files_are_read() {
        let stat = "7 (a) b) S 1 1 1 0 -1 64 0 0 0 0 12 30 0 0 20 0 4 0 99 0 0";
        assert_eq!(running(stat), Some(Duration::from_millis(420)));
        assert_eq!(waiting("500 1000 3\n"), Some(Duration::from_micros(1)));
        assert_eq!((running("7 (a"), waiting("")), (None, None));
    }

    #[test]
    fn a_threads_time_grows_while_it_works_and_others_do_not_count() {
        let spin = || {
            let before = ThreadTime::of("spinning-thread-of-this-test").expect("its own thread");
            let begin = Instant::now();
            let mut after = before;
            // Until the kernel has counted some of it; a thread without a core takes longer.
            while after.running < before.running + Duration::from_millis(50) {
                assert!(begin.elapsed() < Duration::from_secs(30), "{after:?}");
                after = ThreadTime::of("spinning-thread-of-this-test").expect("its own thread");
            }
            let waited = |time: ThreadTime| time.waiting.unwrap_or_default();
            (after.running - before.running) + (waited(after) - waited(before))
        };
        let thread = std::thread::Builder::new().name("spinning-thread-of-this-test".into());
        let spent = thread.spawn(spin).unwrap().join().unwrap();
        assert!(spent >= Duration::from_millis(50), "{spent:?}");
        assert_eq!(ThreadTime::of("nobody's"), None);
    }
}
