//! The latency of one successful request. Definitions and names as the field uses them.

use crate::client::{CompletedRequest, Completion, RequestRecord};

/// E2EL (ns): end of the user's wait − its begin; a safety check's time is included. In an open loop it begins
/// when the arrival was due.
pub fn e2el_ns<O>(record: &RequestRecord<O>) -> f64 {
    record.end_ns.saturating_sub(record.e2el_from_ns()) as f64
}

/// TTFT (ns): first content event − `t_send`, or − the time when the arrival was due in an open loop; `None` where
/// the response was not streamed or empty.
pub fn ttft_ns(request: &CompletedRequest) -> Option<f64> {
    ttft_after(request.ttft_from_ns(), &request.outcome)
}

/// TTFT (ns) of a request whose wait began at `begin_ns`.
pub fn ttft_after(begin_ns: u64, completion: &Completion) -> Option<f64> {
    let first = completion.content_ns.first()?;
    Some(first.saturating_sub(begin_ns) as f64)
}

/// TTFO (ns): first event of the answer itself − the begin of TTFT, where reasoning came before it; `None` elsewhere.
///
/// NVIDIA AIPerf's *time to first output token*. TTFT counts the reasoning, as its tokens are generated all
/// the same.
pub fn ttfo_ns(request: &CompletedRequest) -> Option<f64> {
    let first = request.outcome.first_answer_ns?;
    Some(first.saturating_sub(request.ttft_from_ns()) as f64)
}

/// TPOT (ns/token): (last byte − first content event) ÷ (output tokens − 1).
///
/// This is (E2EL − TTFT) ÷ (output tokens − 1) without the safety check, which generates no token.
/// `None` for a single token, and where TTFT is unknown.
pub fn tpot_ns(request: &CompletedRequest) -> Option<f64> {
    let completion = &request.outcome;
    let first = completion.content_ns.first()?;
    let (tokens, _) = completion.output_tokens()?;
    let gaps = tokens.checked_sub(1).filter(|gaps| *gaps > 0)?;
    Some(completion.last_byte_ns.saturating_sub(first) as f64 / f64::from(gaps))
}

/// ITL (ns): gaps between consecutive content events.
///
/// An event that carried k tokens counts k − 1 gaps of zero: the tokens beyond the events, as the usage
/// states them, are what the events carried.
pub fn itl_ns(completion: &Completion) -> impl Iterator<Item = f64> + '_ {
    let zeros = coalesced_tokens(completion) as usize;
    completion
        .content_ns
        .gaps()
        .map(|gap| gap as f64)
        .chain(std::iter::repeat_n(0.0, zeros))
}

/// Tokens that arrived in one event with another; zero where every event carried one.
///
/// No more than an event can carry and an answer can have: a server may count whatever it likes, and each of
/// these tokens is a value of ITL in memory.
pub fn coalesced_tokens(completion: &Completion) -> u32 {
    let events = completion.content_ns.len() as u32;
    let most = events.saturating_mul(MOST_IN_ONE_EVENT);
    match completion.output_tokens() {
        Some((tokens, _)) => tokens.saturating_sub(events).min(most).min(MOST_COALESCED),
        None => 0,
    }
}

/// Most tokens of one event that are believed; a proxy that buffers may send a whole answer as one.
const MOST_IN_ONE_EVENT: u32 = 4_096;

/// Most coalesced tokens of one answer that are believed.
const MOST_COALESCED: u32 = 65_536;

/// Output tokens per second of one request: output tokens ÷ E2EL.
pub fn tokens_per_second(request: &CompletedRequest) -> Option<f64> {
    let (tokens, _) = request.outcome.output_tokens()?;
    let seconds = e2el_ns(request) / 1e9;
    (seconds > 0.0).then(|| f64::from(tokens) / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::window_tests::completed;

    fn request(tokens: u32, change: impl FnOnce(&mut Completion)) -> CompletedRequest {
        let request = completed(1_000, 3_000, 11_000, tokens).completed();
        let mut request = request.expect("made as completed");
        change(&mut request.outcome);
        request
    }

    #[test]
    fn definitions_hold_for_a_streamed_request() {
        let answer = request(5, |_| {});
        assert_eq!(e2el_ns(&answer), 10_000.0);
        assert_eq!(ttft_ns(&answer), Some(2_000.0));
        assert_eq!(tpot_ns(&answer), Some(2_000.0));
        assert_eq!(itl_ns(&answer.outcome).collect::<Vec<_>>(), [2_000.0; 4]);
        assert_eq!(tokens_per_second(&answer), Some(5.0 / 10e-6));
    }

    #[test]
    fn reasoning_ends_where_the_answer_begins() {
        let answer = request(5, |c| c.first_answer_ns = Some(7_000));
        assert_eq!(ttft_ns(&answer), Some(2_000.0));
        assert_eq!(ttfo_ns(&answer), Some(6_000.0));
        let answer = request(5, |_| {});
        assert_eq!(ttfo_ns(&answer), None, "no reasoning");
    }

    #[test]
    fn a_safety_check_lengthens_the_users_wait_but_not_the_tokens() {
        let mut answer = request(5, |_| {});
        answer.start_ns -= 500;
        answer.end_ns += 500;
        answer.safety_ns = 1_000;
        assert_eq!(e2el_ns(&answer), 11_000.0);
        assert_eq!(ttft_ns(&answer), Some(2_000.0));
        assert_eq!(tpot_ns(&answer), Some(2_000.0));
    }

    #[test]
    fn tokens_beyond_the_events_are_gaps_of_zero() {
        let answer = request(5, |c| c.usage_output = Some(7));
        let gaps: Vec<_> = itl_ns(&answer.outcome).collect();
        assert_eq!(gaps.len(), 6);
        assert_eq!(gaps.iter().filter(|g| **g == 0.0).count(), 2);
        assert_eq!(coalesced_tokens(&answer.outcome), 2);
    }

    #[test]
    fn a_count_that_cannot_be_costs_no_memory() {
        let answer = request(2, |c| c.usage_output = Some(u32::MAX));
        assert_eq!(coalesced_tokens(&answer.outcome), 2 * MOST_IN_ONE_EVENT);
        let answer = request(1_000, |c| c.usage_output = Some(u32::MAX));
        assert_eq!(coalesced_tokens(&answer.outcome), MOST_COALESCED);
    }

    #[test]
    fn undefined_latencies_are_none() {
        let answer = request(1, |_| {});
        assert_eq!(tpot_ns(&answer), None, "one token has no gap");
        let answer = request(5, |c| c.content_ns = Default::default());
        assert_eq!(ttft_ns(&answer), None, "not streamed");
        assert_eq!(tpot_ns(&answer), None, "not streamed");
        assert_eq!(itl_ns(&answer.outcome).count(), 0);
        let answer = request(5, |c| c.usage_output = None);
        assert_eq!(tokens_per_second(&answer), None, "no count");
    }
}
