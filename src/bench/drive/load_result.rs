//! The result of a load, and what is kept of it.

use super::budget::Spent;
use super::observation::LoadObservationResult;
use super::precision::PrecisionReached;
use crate::bench::outcome::{self, DrivenBy, Measured, Results};
use crate::bench::point::Point;
use crate::bench::progress::Progress;
use crate::config::Precision;
use crate::fixture::Fixture;
use crate::load::Window;
use crate::metrics::Unanswered;
use crate::prompt::RequestLengths;

/// The result of a load that this process has driven alone.
pub struct LoadResult {
    /// The lengths of the requests.
    pub lengths: RequestLengths,
    /// Their output tokens are counted.
    pub windows: Vec<Window>,
    /// Whether the last window was cut short.
    pub is_cut: bool,
    /// Whether a signal ended the load before all of it was measured.
    pub is_interrupted: bool,
    /// `None` where no window was measured.
    pub observed: Option<LoadObservationResult>,
    /// Requests without an answer.
    pub unanswered: Vec<Unanswered>,
    /// The budget whose end ended the load, if one did.
    pub spent: Option<Spent>,
    /// How well tok/s was to be known, where windows were taken until it was.
    pub precision: Option<Precision>,
}

impl LoadResult {
    /// Keeps the result as the point's, and says beside its figures what they do not tell; returns the windows that
    /// were kept. `is_further` is set for the runs of a point after its first.
    pub fn keep(
        self,
        point: &Point<'_>,
        fixture: &Fixture,
        is_further: bool,
        progress: &mut Progress,
        results: &mut Results,
    ) -> Vec<Window> {
        let (context, name) = (point.context, point.info.name());
        let (endpoints, mut windows) = (&fixture.endpoints, self.windows);
        // An outage may have begun in a window that was cut short. Such a window is kept only where it is the only
        // one, and tells something.
        let outages = outcome::outages(&windows, endpoints, Some(&self.unanswered));
        let is_dispensable = windows.len() > 1;
        windows.pop_if(|cut| {
            self.is_cut && (is_dispensable || (cut.requests.is_empty() && self.spent.is_none()))
        });
        let why_partial = context.interrupt.why_partial();
        let partial = why_partial.filter(|_| self.is_interrupted);
        let in_warm_up = || self.spent?.in_warm_up().map(str::to_owned);
        let partial = partial.or_else(in_warm_up);
        if let Some(precision) = self.precision
            && windows.first().is_some_and(Window::has_success)
            && partial.is_none()
        {
            let reached = PrecisionReached::of(&windows);
            results.note(&name, &reached.describe(&precision));
        }
        progress.point_done();
        if let Some(spent) = self.spent {
            let wanted = context.args.sampling().windows;
            let has_success = windows.iter().any(Window::has_success);
            let kept = if has_success { windows.len() } else { 0 };
            results.over_time(&name, &spent.describe(kept, wanted));
        }
        if let (Some(why), true) = (&partial, windows.is_empty()) {
            results.not_measured(&name, why);
        }
        // A first run without any success is a point that failed, which its row says.
        if is_further || windows.len() > 1 {
            results.warn_if_failed(&name, &windows);
        }
        if windows.is_empty() {
            return windows;
        }
        let template = point.template(fixture, endpoints);
        let (client, servers) = self.observed.map(|o| (o.client, o.servers)).unzip();
        let measured = Measured {
            lengths: self.lengths,
            expected: template.expected_answer(),
            endpoints,
            windows: &windows,
            servers: servers.unwrap_or_default(),
            self_check: client.map(|watched| watched.check(&windows)),
            outages,
            origin: DrivenBy::Direct,
            partial,
        };
        results.add(&point.info, fixture, measured);
        windows
    }
}
