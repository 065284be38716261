//! The requests of a load after they have ended, kept in a few bytes each: about 35 for a request, and two or
//! three for a content event, whose times are kept to the microsecond.

mod columns;
mod packed;
mod recorded;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use columns::{At, Columns};

use crate::client::{CompletedRequest, FailureCause, RequestRecord};

pub(crate) use columns::Uncounted;
pub use recorded::RequestColumns;

/// Requests that have ended, in the order of their ends. A copy shares what it holds.
#[derive(Clone, Default)]
pub struct Requests {
    columns: Arc<Columns>,
    first: At,
    len: usize,
}

impl Requests {
    /// Adds a request. Content events keep their times to the microsecond, failures the first message of
    /// their cause.
    pub fn push(&mut self, record: RequestRecord) {
        // Only the end of the columns can grow.
        if self.first.position + self.len != self.columns.len() {
            *self = self.iter().collect();
        }
        Arc::make_mut(&mut self.columns).push(record);
        self.len += 1;
    }

    /// The number of requests.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no requests.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The requests.
    pub fn iter(&self) -> impl Iterator<Item = RequestRecord> + use<'_> {
        let mut at = self.first;
        (0..self.len).map(move |_| self.columns.next(&mut at))
    }

    /// The requests that succeeded.
    pub fn completed(&self) -> impl Iterator<Item = CompletedRequest> + use<'_> {
        self.iter().filter_map(RequestRecord::completed)
    }

    /// The number of requests that succeeded.
    pub fn succeeded(&self) -> usize {
        let start = self.first.position;
        self.columns.succeeded(start..start + self.len)
    }

    /// Counts the tokens of the answers that the server has not counted: `count` returns `None` for a text that it
    /// cannot count. The texts are kept, so that a better count can follow.
    pub(crate) fn count_missing(
        &mut self,
        count: impl FnOnce(&[Uncounted<'_>]) -> Vec<Option<u32>>,
    ) {
        Arc::make_mut(&mut self.columns).count_missing(count);
    }

    /// Drops the texts that [`Requests::count_missing`] has counted.
    pub(crate) fn drop_counted_texts(&mut self) {
        Arc::make_mut(&mut self.columns).drop_counted_texts();
    }

    /// Sets the messages of failed requests by their causes; a record has them beside its requests.
    pub(crate) fn set_failure_messages(&mut self, messages: BTreeMap<FailureCause, String>) {
        Arc::make_mut(&mut self.columns).set_messages(messages);
    }

    /// All requests of these columns.
    fn all_of(columns: Columns) -> Requests {
        Requests {
            len: columns.len(),
            first: At::default(),
            columns: Arc::new(columns),
        }
    }

    /// The first `len` requests (all if there are fewer), and the rest.
    fn split(&self, len: usize) -> (Requests, Requests) {
        let len = len.min(self.len);
        let mut at = self.first;
        (0..len).for_each(|_| drop(self.columns.next(&mut at)));
        let of = |first, len| Requests {
            columns: Arc::clone(&self.columns),
            first,
            len,
        };
        (of(self.first, len), of(at, self.len - len))
    }
}

impl FromIterator<RequestRecord> for Requests {
    fn from_iter<I: IntoIterator<Item = RequestRecord>>(requests: I) -> Requests {
        let mut columns = Columns::default();
        requests
            .into_iter()
            .for_each(|request| columns.push(request));
        Requests::all_of(columns)
    }
}

impl From<Vec<RequestRecord>> for Requests {
    fn from(requests: Vec<RequestRecord>) -> Requests {
        requests.into_iter().collect()
    }
}

impl Extend<RequestRecord> for Requests {
    fn extend<I: IntoIterator<Item = RequestRecord>>(&mut self, requests: I) {
        requests.into_iter().for_each(|request| self.push(request));
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
