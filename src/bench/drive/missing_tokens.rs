//! Output tokens of requests whose server did not count them.

use crate::fixture::Fixture;
use crate::load::Window;
use crate::requests::Requests;

/// Counts the output tokens of requests whose server did not say. Where the tokenizer is a server's, the load
/// must be over.
pub fn count_missing_tokens<'w>(
    windows: impl IntoIterator<Item = &'w mut Window>,
    fixture: &Fixture,
) {
    for window in windows {
        count_missing_tokens_of(&mut window.requests, fixture);
    }
}

/// The same for requests that are not cut into windows yet.
pub fn count_missing_tokens_of(requests: &mut Requests, fixture: &Fixture) {
    requests.count_missing(|uncounted| {
        let texts = uncounted.iter().map(|uncounted| uncounted.text);
        fixture.count_outputs(&Vec::from_iter(texts))
    });
    requests.drop_counted_texts();
}

/// Lets content events stand for output tokens that can only be counted when the load is over. Good for how
/// much tok/s varies, and nothing else: [`count_missing_tokens`] replaces it.
pub fn estimate_missing_tokens(window: &mut Window) {
    window.requests.count_missing(|uncounted| {
        let events = uncounted.iter().map(|uncounted| uncounted.events);
        let tokens = events.map(|events| u32::try_from(events).ok().filter(|n| *n > 0));
        tokens.collect()
    });
}
