//! Whether the client itself was what limited a measurement.
//!
//! A benchmark that is limited by its own client lies. So while a load is measured, the threads
//! that carry it are watched: how busy they are, how long they wait for a core, how late they get
//! to work that is due, and how long a request that could be sent waits to be sent.

use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::threads::ThreadTime;
use super::window::Window;
use crate::client::RequestRecord;
use crate::sorted_values::SortedValues;

/// How often the event loop's lag is sampled.
const SAMPLE_EVERY: Duration = Duration::from_millis(10);

/// Busy share of the load's threads above which they may have been the limit.
pub const MOST_BUSY_SHARE: f64 = 0.8;

/// Share of their time that the load's threads may wait for a core.
pub const MOST_STARVED_SHARE: f64 = 0.2;

/// Event-loop lag (p99, ms) above which timestamps are later than the bytes.
pub const MOST_LOOP_LAG_MS: f64 = 10.0;

/// Send lag (p99, ms) above which the load was thinner than asked for.
pub const MOST_SEND_LAG_MS: f64 = 10.0;

/// How late something came (ms).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lag {
    /// 99th percentile.
    pub p99: f64,
    /// The greatest.
    pub max: f64,
}

impl Lag {
    fn of(lags_ms: &SortedValues) -> Option<Lag> {
        Some(Lag {
            max: lags_ms.greatest()?,
            p99: lags_ms.percentile(99.0),
        })
    }
}

/// The observations of a [`Watch`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelfCheck {
    /// Share of their time that the load's threads ran, 0 to 1; `None` where the system does
    /// not tell.
    pub busy_share: Option<f64>,
    /// Share of their time that they could have run but had no core; `None` likewise.
    pub starved_share: Option<f64>,
    /// How late the event loop came to a timer (ms); a timer's own grain is 1 ms.
    pub loop_lag_ms: Option<Lag>,
    /// From the moment when a request could be sent until it was (ms).
    pub send_lag_ms: Option<Lag>,
    /// Each limit that was exceeded, in words; empty where the client kept up.
    pub client_bound: Vec<String>,
}

impl SelfCheck {
    fn new(watched: Watched, send_lag_ms: Option<Lag>) -> SelfCheck {
        let Watched {
            busy_share,
            starved_share,
            loop_lag_ms,
        } = watched;
        let mut client_bound = Vec::new();
        let shares = [
            ("were busy", busy_share, MOST_BUSY_SHARE),
            ("waited for a core", starved_share, MOST_STARVED_SHARE),
        ];
        for (what, share, limit) in shares {
            if let Some(share) = share.filter(|share| *share > limit) {
                client_bound.push(format!(
                    "its threads {what} {:.0} % of the time (limit {:.0} %)",
                    100.0 * share,
                    100.0 * limit
                ));
            }
        }
        let lags = [
            ("event-loop lag", loop_lag_ms, MOST_LOOP_LAG_MS),
            ("send lag", send_lag_ms, MOST_SEND_LAG_MS),
        ];
        for (name, lag, limit) in lags {
            if let Some(Lag { p99, .. }) = lag.filter(|lag| lag.p99 > limit) {
                client_bound.push(format!("{name} P99 was {p99:.1} ms (limit {limit} ms)"));
            }
        }
        SelfCheck {
            busy_share,
            starved_share,
            loop_lag_ms,
            send_lag_ms,
            client_bound,
        }
    }

    /// The worst of several, each under the name of what it watched; `None` of none.
    pub(crate) fn worst<'a>(
        checks: impl IntoIterator<Item = (String, &'a SelfCheck)>,
    ) -> Option<SelfCheck> {
        let mut checks = checks.into_iter().map(|(name, check)| {
            let limits = check.client_bound.iter();
            SelfCheck {
                client_bound: limits.map(|limit| format!("{name}: {limit}")).collect(),
                ..check.clone()
            }
        });
        let lag = |a: Option<Lag>, b: Option<Lag>| match (a, b) {
            (Some(a), Some(b)) => Some(Lag {
                p99: a.p99.max(b.p99),
                max: a.max.max(b.max),
            }),
            (one, other) => one.or(other),
        };
        let most = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::max);
        let first = checks.next()?;
        Some(checks.fold(first, |mut worst, check| {
            worst.busy_share = most(worst.busy_share, check.busy_share);
            worst.starved_share = most(worst.starved_share, check.starved_share);
            worst.loop_lag_ms = lag(worst.loop_lag_ms, check.loop_lag_ms);
            worst.send_lag_ms = lag(worst.send_lag_ms, check.send_lag_ms);
            worst.client_bound.extend(check.client_bound);
            worst
        }))
    }
}

/// A watch over the runtime that carries a load.
pub struct Watch {
    /// Name of the threads.
    threads: String,
    before: Option<ThreadTime>,
    begin: Instant,
    sampling: Arc<AtomicBool>,
    lags_ms: JoinHandle<Vec<f64>>,
    runtime: Handle,
}

impl Watch {
    /// Begins to watch `runtime`, whose threads have the name `threads`.
    pub fn start(runtime: &Handle, threads: &str) -> Watch {
        let sampling = Arc::new(AtomicBool::new(true));
        Watch {
            before: ThreadTime::of(threads),
            threads: threads.to_owned(),
            begin: Instant::now(),
            lags_ms: runtime.spawn(sample(Arc::clone(&sampling))),
            sampling,
            runtime: runtime.clone(),
        }
    }

    /// Ends the watch.
    ///
    /// Must not be called from within the runtime.
    pub fn stop(self) -> Watched {
        let spent = ThreadTime::of(&self.threads).zip(self.before);
        let wall = self.begin.elapsed();
        self.sampling.store(false, Ordering::Relaxed);
        // The sampler ends at its next tick; it cannot fail but by a panic, which would be ours.
        let lags_ms = self.runtime.block_on(self.lags_ms).unwrap_or_default();
        let workers = self.runtime.metrics().num_workers().max(1) as f64;
        let share = |time: fn(&ThreadTime) -> Option<Duration>| {
            let (after, before) = spent?;
            let spent = time(&after)?.saturating_sub(time(&before)?);
            Some(spent.as_secs_f64() / (workers * wall.as_secs_f64()).max(1e-9))
        };
        Watched {
            busy_share: share(|time| Some(time.running)),
            starved_share: share(|time| time.waiting),
            loop_lag_ms: Lag::of(&lags_ms.into_iter().collect()),
        }
    }
}

/// Observations of the load's threads while they were watched.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    busy_share: Option<f64>,
    starved_share: Option<f64>,
    loop_lag_ms: Option<Lag>,
}

impl Watched {
    /// Whether the client kept up while the load gave `windows`.
    pub fn check(self, windows: &[Window]) -> SelfCheck {
        self.check_requests(windows.iter().flat_map(|window| window.requests.iter()))
    }

    /// Whether the client kept up while it sent `requests`.
    pub fn check_requests<R: Borrow<RequestRecord>>(
        self,
        requests: impl IntoIterator<Item = R>,
    ) -> SelfCheck {
        let send_lag_ms = requests.into_iter().map(|request| {
            let request = request.borrow();
            request.start_ns.saturating_sub(request.intended_ns) as f64 * 1e-6
        });
        SelfCheck::new(self, Lag::of(&send_lag_ms.collect()))
    }
}

/// How late each tick of a timer comes (ms), until told to stop.
async fn sample(sampling: Arc<AtomicBool>) -> Vec<f64> {
    let mut ticks = tokio::time::interval(SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut lags_ms = Vec::new();
    ticks.tick().await;
    while sampling.load(Ordering::Relaxed) {
        let due = ticks.tick().await;
        lags_ms.push(due.elapsed().as_secs_f64() * 1e3);
    }
    lags_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::window_tests::{completed, window};

    fn runtime(threads: &str) -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(threads)
            .enable_all()
            .build()
            .unwrap()
    }

    /// Watches a runtime while `work` goes on in it for a third of a second.
    fn watched(threads: &str, work: impl Future<Output = ()> + Send + 'static) -> SelfCheck {
        let runtime = runtime(threads);
        let watch = Watch::start(runtime.handle(), threads);
        let limit = Duration::from_millis(300);
        runtime.block_on(async {
            let _ = tokio::time::timeout(limit, tokio::spawn(work)).await;
        });
        watch.stop().check(&[])
    }

    #[test]
    fn a_thread_that_is_kept_busy_is_seen() {
        let busy = watched("check-busy", async {
            loop {
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_millis(40) {
                    std::hint::spin_loop();
                }
                tokio::task::yield_now().await;
            }
        });
        assert!(busy.loop_lag_ms.unwrap().p99 > MOST_LOOP_LAG_MS, "{busy:?}");
        assert!(!busy.client_bound.is_empty(), "{busy:?}");
    }

    #[test]
    fn an_idle_thread_is_not_busy() {
        let idle = watched("check-idle", std::future::pending());
        assert!(idle.busy_share.is_none_or(|share| share < 0.5), "{idle:?}");
        assert!(idle.loop_lag_ms.is_some(), "{idle:?}");
    }

    #[test]
    fn requests_that_waited_to_be_sent_are_seen() {
        let late = |ms: u64| {
            let mut request = completed(50_000_000, 60_000_000, 70_000_000, 2);
            request.intended_ns = request.start_ns - ms * 1_000_000;
            request
        };
        let runtime = runtime("check-late");
        let watch = Watch::start(runtime.handle(), "check-late");
        let check = watch
            .stop()
            .check(&[window(vec![late(0), late(30), late(30)], 0, 0)]);
        assert_eq!(
            check.send_lag_ms,
            Some(Lag {
                p99: 30.0,
                max: 30.0
            })
        );
        assert!(
            check
                .client_bound
                .iter()
                .any(|why| why.contains("send lag P99 was 30.0 ms"))
        );
        let kept_up = Watched {
            busy_share: Some(0.7),
            starved_share: Some(0.1),
            loop_lag_ms: None,
        };
        let within = SelfCheck::new(
            kept_up,
            Some(Lag {
                p99: 2.0,
                max: 40.0,
            }),
        );
        assert_eq!(within.client_bound, [""; 0]);
    }

    #[test]
    fn the_worst_of_several_is_kept_and_each_limit_names_its_own() {
        let check = |busy: f64, lag_ms: f64, bound: &[&str]| SelfCheck {
            busy_share: Some(busy),
            starved_share: None,
            loop_lag_ms: Some(Lag {
                p99: lag_ms,
                max: 2.0 * lag_ms,
            }),
            send_lag_ms: None,
            client_bound: bound.iter().map(ToString::to_string).collect(),
        };
        let first = check(0.2, 12.0, &["event-loop lag"]);
        let third = check(0.9, 1.0, &["its threads were busy"]);
        let named = [("rank 0".to_owned(), &first), ("rank 2".to_owned(), &third)];
        let worst = SelfCheck::worst(named).expect("some were watched");
        assert_eq!(worst.busy_share, Some(0.9));
        assert_eq!(worst.loop_lag_ms.map(|lag| lag.max), Some(24.0));
        assert_eq!(
            worst.client_bound,
            ["rank 0: event-loop lag", "rank 2: its threads were busy"]
        );
        assert_eq!(SelfCheck::worst([]), None);
    }
}
