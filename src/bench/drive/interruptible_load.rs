//! A load under way that a signal, or the end of its point's time, ends early.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::super::point::Point;
use super::super::progress::Meter;
use super::budget::{Budget, BudgetPlan, Spent};
use super::first_answer::{FirstAnswer, assumed_latency};
use crate::client::Client;
use crate::endpoint::{Balance, Endpoints};
use crate::fixture::Fixture;
use crate::interrupt::Interrupt;
use crate::load::{Load, Rounds, Window};
use crate::metrics::Unanswered;
use crate::prompt::PromptSeries;
use crate::ranks::Share;
use crate::safety::SafetyCheck;
use crate::target::{BalancedEndpoints, KeepTexts, PromptQueue, UnansweredLog};

/// A window without any success is extended until this many requests have failed in a row.
pub const FAILURES_IN_A_ROW: usize = 20;

/// Texts per point whose tokens are counted again, to compare with the server's count.
const TEXTS_COUNTED_AGAIN: u32 = 16;

/// A load whose windows have a success, if the servers give any. Its windows end with the round under way when the
/// run is interrupted, a little later without it, or when the point's time is over.
pub struct InterruptibleLoad<'a> {
    load: Load,
    plan: BudgetPlan,
    /// The budget until the first answer, and its wait.
    unanswered_budget: Budget,
    first_answer: Rc<FirstAnswer>,
    /// Of the windows; of the warm-up until it is over.
    budget: Option<Budget>,
    unanswered: UnansweredLog,
    /// The longest time without any success.
    patience: Duration,
    interrupt: &'a Interrupt,
    /// Whether its last window was cut short.
    is_cut: bool,
    meter: &'a Meter,
}

impl<'a> InterruptibleLoad<'a> {
    /// Starts the load of a point.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub fn start(
        point: &Point<'a>,
        fixture: &Fixture,
        endpoints: &Endpoints,
        requests: PromptSeries,
        meter: &'a Meter,
    ) -> Result<InterruptibleLoad<'a>, String> {
        let share = Share::whole(point.most_in_flight());
        let plan = BudgetPlan::of(point, point.context.args.sampling());
        let unanswered_budget = plan.warm_up(assumed_latency(point, &requests.source.lengths()));
        let target = serving(point, fixture, endpoints, requests, &share)?;
        let unanswered = target.unanswered.clone();
        let mut load = start(point, fixture, target, &share);
        let started = Instant::now();
        let first_answer = Rc::new(FirstAnswer::new(load.gauge()));
        let unanswered_until = Rc::clone(&first_answer);
        load.end_by(move |latency| match latency {
            Some(latency) => plan.warm_up(latency).over_at(started),
            None => unanswered_until.over_at(unanswered_budget),
        });
        meter.follow(load.gauge());
        Ok(InterruptibleLoad {
            load,
            plan,
            unanswered_budget,
            first_answer,
            budget: None,
            unanswered,
            patience: patience(point),
            interrupt: &point.context.interrupt,
            is_cut: false,
            meter,
        })
    }

    /// Ends the warm-up's budget: from now on the load has `budget`, which is over at `at`, or earlier if the first
    /// answer takes too long.
    pub fn limit(&mut self, budget: Budget, at: Option<Instant>) {
        self.budget = Some(budget);
        let (first_answer, unanswered) = (Rc::clone(&self.first_answer), self.unanswered_budget);
        self.load.end_by(move |latency| match latency {
            Some(_) => at,
            None => first_answer.over_at(unanswered).into_iter().chain(at).min(),
        });
    }

    /// Ends the warm-up's budget: from now on the load may take any time.
    pub fn unlimit(&mut self) {
        self.load.end_at(None);
    }

    /// The budget that was over before the load had ended, if one was.
    pub fn spent(&self) -> Option<Spent> {
        let latency = self.load.mean_latency();
        let first_over_at = || self.first_answer.over_at(self.unanswered_budget);
        let is_unanswered = || first_over_at().is_some_and(|at| Instant::now() >= at);
        self.load.is_cut().then(|| match (self.budget, latency) {
            (_, None) if is_unanswered() => Spent::NoAnswer(self.unanswered_budget),
            (Some(budget), _) => Spent::Windows(budget),
            (None, latency) => Spent::WarmUp(self.plan.warm_up(latency.unwrap_or_default())),
        })
    }

    /// Whether its last window was cut short.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The requests that have ended without an answer since the last call.
    pub fn take_unanswered(&self) -> Vec<Unanswered> {
        self.unanswered.take()
    }

    /// Ends the load; the requests that it leaves without an answer.
    pub fn abandon(self) -> Vec<Unanswered> {
        self.load.abandon();
        self.unanswered.take()
    }

    fn round(&mut self) -> Window {
        let grace_is_over = self.interrupt.grace_is_over();
        self.load.window_until(1, grace_is_over)
    }

    /// The next `rounds` rounds, or fewer where the load is over.
    fn rounds(&mut self, rounds: u64) -> Window {
        let mut window = self.round();
        while window.rounds < rounds && !self.is_over() {
            let round = self.round();
            if round.requests.is_empty() {
                break;
            }
            window.extend(round);
        }
        window
    }
}

impl Rounds for InterruptibleLoad<'_> {
    /// A window with at least one success, or what there is after many failures.
    fn window(&mut self, rounds: u64) -> Window {
        let begin = Instant::now();
        let mut window = self.rounds(rounds);
        while !window.has_success()
            && !window.requests.is_empty()
            && window.requests.len() < FAILURES_IN_A_ROW
            && begin.elapsed() < self.patience
            && !self.is_over()
        {
            window.extend(self.rounds(rounds));
        }
        self.is_cut = self.is_over() && window.rounds < rounds;
        self.meter.window_done();
        window
    }

    fn is_over(&self) -> bool {
        self.interrupt.came() || self.load.is_cut()
    }
}

/// Without a success within this time there is nothing to measure.
pub fn patience(point: &Point<'_>) -> Duration {
    2 * point.context.config.request_timeout
}

/// Prepares the target of a share of the point's load, with prompts that no load before has sent.
///
/// # Errors
/// Why the load cannot be prepared.
pub fn serving(
    point: &Point<'_>,
    fixture: &Fixture,
    endpoints: &Endpoints,
    requests: PromptSeries,
    share: &Share,
) -> Result<BalancedEndpoints, String> {
    let (config, info) = (&point.context.config, &point.info);
    let template = point.template(fixture, endpoints);
    let depth = point.prepared_ahead(share);
    let PromptSeries { source, indices } = requests;
    let indices = share.of_numbers(indices);
    let safety = config
        .safety
        .as_ref()
        .map(|safety| SafetyCheck::new(safety, fixture.seed));
    Ok(BalancedEndpoints {
        client: Client::new(
            fixture.connections.clone(),
            config,
            info.dialect,
            fixture.clock,
        ),
        prompts: PromptQueue::start(source, template, indices, depth).map_err(|e| e.to_string())?,
        request_id_prefix: info.request_id_prefix(fixture),
        unanswered: UnansweredLog::default(),
        urls: endpoints.iter().map(|e| e.url.api(info.dialect)).collect(),
        balance: Balance::new(config.balancing, share.before, endpoints.count()),
        safety: safety.transpose().map_err(|error| error.to_string())?,
        keep_texts: match config.safety.is_some() {
            true => KeepTexts::All,
            false => KeepTexts::First(AtomicU32::new(TEXTS_COUNTED_AGAIN)),
        },
    })
}

/// Starts a share of the point's load.
pub fn start(
    point: &Point<'_>,
    fixture: &Fixture,
    target: BalancedEndpoints,
    share: &Share,
) -> Load {
    Load::start(
        fixture.runtime.handle().clone(),
        Arc::new(target),
        |begin_ns| point.pacing(share, fixture.seed, begin_ns),
        fixture.clock,
    )
}
