use super::*;
use crate::client::{Failure, FailureCause, Outcome};
use crate::load::window_tests::completed;

const MS: u64 = 1_000_000;

fn urls() -> Vec<String> {
    ["http://a:8000", "http://b:8001"].map(String::from).into()
}

/// An answer of `endpoint` in ten evenly spaced tokens.
fn answer(endpoint: usize, from_ms: u64, to_ms: u64) -> RequestRecord {
    let gap_ms = (to_ms - from_ms) / 10;
    RequestRecord {
        endpoint,
        ..completed(from_ms * MS, (from_ms + gap_ms) * MS, to_ms * MS, 10)
    }
}

fn failed(endpoint: usize, cause: FailureCause, from_ms: u64, to_ms: u64) -> RequestRecord {
    let message = String::new();
    RequestRecord {
        outcome: Outcome::Failed(Failure { cause, message }),
        ..answer(endpoint, from_ms, to_ms)
    }
}

/// Both endpoints answer one request after another, of 100 ms each, up to these times.
fn healthy(to_ms: [u64; 2]) -> Vec<RequestRecord> {
    let of = |endpoint: usize| {
        (0..to_ms[endpoint])
            .step_by(100)
            .map(move |at| answer(endpoint, at, at + 100))
    };
    of(0).chain(of(1)).collect()
}

fn found(requests: &[RequestRecord], unanswered: &[Unanswered]) -> Vec<String> {
    let end_ns = requests.iter().map(|r| r.end_ns).max().unwrap_or(0);
    let unanswered_end = unanswered.iter().map(|u| u.ended_ns).max().unwrap_or(0);
    let trace = RunTrace {
        span_ns: 0..end_ns.max(unanswered_end),
        unanswered: Some(unanswered),
        urls: &urls(),
    };
    let outages = outages(|| requests.iter(), &trace);
    outages.iter().map(Outage::to_string).collect()
}

#[test]
fn a_healthy_run_has_no_outage_and_neither_have_faults_by_chance() {
    assert_eq!(found(&healthy([10_000, 10_000]), &[]), [""; 0]);
    // Every third request fails, and three of them in a row by chance.
    let mut requests = healthy([10_000, 10_000]);
    for (at, request) in requests.iter_mut().enumerate() {
        if at % 3 == 0 || (40..43).contains(&at) {
            let (from_ms, to_ms) = (request.sent_ns / MS, request.end_ns / MS);
            *request = failed(request.endpoint, FailureCause::Http(500), from_ms, to_ms);
        }
    }
    assert_eq!(found(&requests, &[]), [""; 0]);
    assert_eq!(found(&[], &[]), [""; 0]);
}

#[test]
fn a_replica_that_dies_and_comes_back_is_named_with_when_and_how_much() {
    let mut requests = healthy([10_000, 4_200]);
    requests.push(failed(1, FailureCause::StreamCut, 4_200, 4_230));
    requests.extend((43..=67).map(|at| failed(1, FailureCause::Connect, at * 100, at * 100 + 1)));
    let gone = "endpoint http://b:8001: 26 requests failed between 4.2 s and 6.7 s \
                (25 × connection failed, 1 × stream cut short), and none succeeded; it ";
    assert_eq!(
        found(&requests, &[]),
        [format!("{gone}has not answered since")]
    );
    requests.extend((68..100).map(|at| answer(1, at * 100, at * 100 + 100)));
    assert_eq!(found(&requests, &[]), [format!("{gone}answers again")]);
}

#[test]
fn an_endpoint_that_never_answered_is_named_whatever_the_number() {
    let mut requests = healthy([1_000, 0]);
    requests.extend((1..4).map(|at| failed(1, FailureCause::Http(503), at * 100, at * 100 + 5)));
    let said = "endpoint http://b:8001: 3 requests failed between 0.1 s and 0.3 s (HTTP 503), and none \
                succeeded; it has not answered since";
    assert_eq!(found(&requests, &[]), [said]);
}

#[test]
fn a_replica_that_freezes_is_named_with_when_and_how_many_waited() {
    let mut requests = healthy([14_000, 2_000]);
    // Three that stand still for 9.8 s in their middle, and answer then.
    for at in 0..3 {
        let mut request = answer(1, 1_990 + at, 12_000);
        if let Outcome::Completed(completion) = &mut request.outcome {
            let times = (0..5).map(|i| (2_000 + 20 * i) * MS);
            let times = times.chain((0..5).map(|i| (11_910 + 20 * i) * MS));
            completion.content_ns = times.collect();
        }
        requests.push(request);
    }
    let said = "endpoint http://b:8001: no byte for 9.8 s from 2.1 s on, with 3 requests in flight; it answers again";
    assert_eq!(found(&requests, &[]), [said]);
    // A request whose bytes arrive meanwhile ends the silence.
    requests.push(answer(1, 2_100, 11_900));
    assert_eq!(found(&requests, &[]), [""; 0]);
}

#[test]
fn requests_without_an_answer_show_a_silence_that_has_not_ended() {
    let requests = healthy([9_000, 2_000]);
    let waiting = |heard_ms: u64| Unanswered {
        endpoint: 1,
        sent_ns: 2_000 * MS,
        heard_ns: heard_ms * MS,
        ended_ns: 9_000 * MS,
    };
    let said = "endpoint http://b:8001: no byte for 6.4 s from 2.6 s on, with 2 requests in flight; it has not \
                answered since";
    assert_eq!(found(&requests, &[waiting(2_000), waiting(2_550)]), [said]);
    assert_eq!(found(&requests, &[waiting(2_000), waiting(8_900)]), [""; 0]);
}

#[test]
fn without_any_answer_each_endpoint_is_named_whatever_the_number() {
    let waiting = Unanswered {
        endpoint: 1,
        sent_ns: 0,
        heard_ns: 0,
        ended_ns: 9_000 * MS,
    };
    let refused = failed(0, FailureCause::Connect, 0, 100);
    let said = [
        "endpoint http://b:8001: no byte for 8.9 s from 0.1 s on, with 1 request in flight; it has not \
         answered since",
        "endpoint http://a:8000: 1 request failed between 0.1 s and 0.1 s (connection failed), and none \
         succeeded; it has not answered since",
    ];
    let mut all = found(&[refused], &[waiting]);
    all.sort_by_key(|outage| !outage.contains("b:8001"));
    assert_eq!(all, said);
}

#[test]
fn a_slow_server_is_not_silent() {
    // Each waits two seconds for its first token, and so its only one.
    let waits = |at: u64| RequestRecord {
        ..completed(at * MS, (at + 2_000) * MS, (at + 2_000) * MS, 1)
    };
    let requests = Vec::from_iter((0..20).map(|at| waits(at * 2_000)));
    assert_eq!(found(&requests, &[]), [""; 0]);
}

#[test]
fn a_time_out_without_byte_times_is_not_a_silence() {
    let mut requests = healthy([9_000, 2_000]);
    requests.push(failed(1, FailureCause::Timeout, 2_000, 9_000));
    let trace = RunTrace {
        span_ns: 0..9_000 * MS,
        unanswered: None,
        urls: &urls(),
    };
    assert_eq!(outages(|| requests.iter(), &trace), []);
}

#[test]
fn a_long_run_takes_no_more_steps_than_a_short_one_may() {
    let day_ms = 24 * 3_600 * 1_000;
    let mut requests = healthy([1_000, 1_000]);
    requests.push(answer(0, day_ms, day_ms + 100));
    let waiting = Unanswered {
        endpoint: 1,
        sent_ns: 1_000 * MS,
        heard_ns: 1_000 * MS,
        ended_ns: day_ms * MS,
    };
    let found = found(&requests, &[waiting]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("http://b:8001: no byte for 8639"),
        "{found:?}"
    );
}
