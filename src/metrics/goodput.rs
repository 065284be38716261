use crate::client::CompletedRequest;
use crate::config::{Limit, Slo};
use crate::load::Window;

use super::latency;

/// Whether a successful request meets every objective that is set.
///
/// A limit on TTFT is not met where TTFT is unknown. TPOT and ITL are undefined for an answer of one
/// token, which keeps no user waiting between tokens and so meets them.
pub fn meets(slo: &Slo, request: &CompletedRequest) -> bool {
    let within = |value_ns: f64, limit: Limit| value_ns * 1e-6 <= limit.ms;
    let unless_undefined = |value_ns: Option<f64>, limit: Option<Limit>| {
        limit.is_none_or(|limit| value_ns.is_none_or(|value| within(value, limit)))
    };
    let ttft = latency::ttft_ns(request);
    let longest_gap = latency::itl_ns(&request.outcome).max_by(f64::total_cmp);
    slo.ttft
        .is_none_or(|limit| ttft.is_some_and(|value| within(value, limit)))
        && unless_undefined(latency::tpot_ns(request), slo.tpot)
        && unless_undefined(longest_gap, slo.itl)
        && slo
            .e2el
            .is_none_or(|limit| within(latency::e2el_ns(request), limit))
}

/// Requests of a window that met `slo`; `None` where no objective is set.
pub fn good_requests(window: &Window, slo: &Slo) -> Option<usize> {
    let good = |request: &CompletedRequest| meets(slo, request);
    (!slo.is_empty()).then(|| window.completed().filter(good).count())
}

/// Goodput (req/s): requests that met `slo` ÷ wall time of the windows; `None` where no objective is
/// set.
pub fn goodput(windows: &[Window], slo: &Slo) -> Option<f64> {
    let good: Option<usize> = windows.iter().map(|w| good_requests(w, slo)).sum();
    let wall_ns = Window::total_wall_ns(windows);
    (wall_ns > 0).then_some(good? as f64 / (wall_ns as f64 * 1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::window_tests::{completed, window};

    const MS: u64 = 1_000_000;

    fn limits(ttft: Option<f64>, tpot: Option<f64>, itl: Option<f64>, e2el: Option<f64>) -> Slo {
        let [ttft, tpot, itl, e2el] = [ttft, tpot, itl, e2el].map(|ms| ms.map(Limit::of_p99));
        Slo {
            ttft,
            tpot,
            itl,
            e2el,
            failed: None,
        }
    }

    /// TTFT 20 ms, TPOT and every gap 10 ms, E2EL 60 ms.
    fn good(slo: Slo) -> Option<f64> {
        let mut window = window(vec![completed(0, 20 * MS, 60 * MS, 5)], 0, 0);
        window.end_ns = 500 * MS;
        goodput(&[window], &slo)
    }

    #[test]
    fn a_request_counts_that_meets_every_limit() {
        let slo = limits(Some(20.0), Some(10.0), Some(10.0), Some(60.0));
        assert_eq!(good(slo), Some(2.0));
        for tight in [
            limits(Some(19.0), None, None, None),
            limits(None, Some(9.0), None, None),
            limits(None, None, Some(9.0), None),
            limits(None, None, None, Some(59.0)),
        ] {
            assert_eq!(good(tight), Some(0.0), "{tight:?}");
        }
        assert_eq!(good(Slo::default()), None, "no objective, no goodput");
    }

    #[test]
    fn an_answer_of_one_token_has_no_gap_to_fail_by() {
        let one = completed(0, 20 * MS, 60 * MS, 1);
        let slo = limits(Some(20.0), Some(1.0), Some(1.0), None);
        assert_eq!(good_requests(&window(vec![one], 0, 0), &slo), Some(1));
    }
}
