//! Requests as the columns of a run record.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Requests;
use super::columns::{BLOCKED, Columns, OK, deltas_us, micros_after};
use crate::client::{Completion, Outcome, RequestRecord};

/// The requests of a run record, in the order of their ends: written and read column by column, without a copy of
/// the columns in memory.
#[derive(Clone, Debug, Default)]
pub struct RequestColumns(Vec<Requests>);

impl RequestColumns {
    /// The number of requests.
    pub fn len(&self) -> usize {
        self.0.iter().map(Requests::len).sum()
    }

    /// Whether there are no requests.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The requests in order, without the texts and failure messages that a record leaves out.
    #[doc(hidden)]
    pub fn iter(&self) -> impl Iterator<Item = RequestRecord> + use<'_> {
        self.0.iter().flat_map(Requests::iter)
    }

    /// All requests in one piece, which is what a record that was read has.
    pub(crate) fn into_requests(mut self) -> Requests {
        match self.0.len() {
            1 => self.0.remove(0),
            _ => self.iter().collect(),
        }
    }

    /// Divides the requests into parts of these lengths, in order; the last parts are shorter if too few are left.
    pub(crate) fn divided(
        &self,
        lengths: impl IntoIterator<Item = usize>,
    ) -> impl Iterator<Item = Requests> {
        let mut whole = match self.0.as_slice() {
            [one] => one.clone(),
            several => several.iter().flat_map(Requests::iter).collect(),
        };
        lengths.into_iter().map(move |length| {
            let (part, rest) = whole.split(length);
            whole = rest;
            part
        })
    }
}

impl FromIterator<Requests> for RequestColumns {
    fn from_iter<I: IntoIterator<Item = Requests>>(requests: I) -> RequestColumns {
        RequestColumns(requests.into_iter().collect())
    }
}

impl FromIterator<RequestRecord> for RequestColumns {
    fn from_iter<I: IntoIterator<Item = RequestRecord>>(requests: I) -> RequestColumns {
        RequestColumns(vec![requests.into_iter().collect()])
    }
}

impl JsonSchema for RequestColumns {
    fn schema_name() -> Cow<'static, str> {
        Columns::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Columns::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for RequestColumns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RequestColumns, D::Error> {
        let columns = Columns::deserialize(deserializer)?;
        Ok(RequestColumns(vec![Requests::all_of(columns)]))
    }
}

/// One field of each request, as an array.
struct RecordedColumn<'r, F>(&'r RequestColumns, F);

impl<T: Serialize, F: Fn(RequestRecord) -> T> Serialize for RecordedColumn<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

/// The content events of a request, in the form of a record.
struct ContentUs(Option<(u64, Completion)>);

impl Serialize for ContentUs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some((sent_ns, completion)) => serializer.collect_seq(deltas_us(*sent_ns, completion)),
            None => serializer.collect_seq(std::iter::empty::<u64>()),
        }
    }
}

fn completion(request: RequestRecord) -> Option<Completion> {
    Some(request.completed()?.outcome)
}

impl RequestColumns {
    /// Writes `value` of each request as a column.
    fn column<S: SerializeStruct, T: Serialize>(
        &self,
        columns: &mut S,
        name: &'static str,
        value: fn(RequestRecord) -> T,
    ) -> Result<(), S::Error> {
        columns.serialize_field(name, &RecordedColumn(self, value))
    }

    /// The values of the requests that have one, by position.
    fn by_position<T>(&self, value: impl Fn(RequestRecord) -> Option<T>) -> BTreeMap<usize, T> {
        let values = self.iter().enumerate();
        values
            .filter_map(|(position, request)| Some((position, value(request)?)))
            .collect()
    }
}

/// Each column is one pass over the requests, which takes a second for ten million tokens, and no memory.
impl Serialize for RequestColumns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut columns = serializer.serialize_struct("RequestColumns", 19)?;
        self.column(&mut columns, "index", |r| r.index)?;
        self.column(&mut columns, "endpoint", |r| {
            (r.endpoint != usize::MAX).then_some(r.endpoint)
        })?;
        self.column(&mut columns, "intended_ns", |r| r.intended_ns)?;
        self.column(&mut columns, "start_ns", |r| r.start_ns)?;
        self.column(&mut columns, "sent_ns", |r| r.sent_ns)?;
        self.column(&mut columns, "end_ns", |r| r.end_ns)?;
        self.column(&mut columns, "safety_ns", |r| r.safety_ns)?;
        self.column(&mut columns, "status", |r| match r.outcome {
            Outcome::Completed(_) => Cow::Borrowed(OK),
            Outcome::Failed(failure) => Cow::Owned(failure.cause.to_string()),
            Outcome::Blocked(_) => Cow::Borrowed(BLOCKED),
        })?;
        self.column(&mut columns, "last_byte_ns", |r| {
            completion(r).map(|c| c.last_byte_ns)
        })?;
        self.column(&mut columns, "input_tokens", |r| {
            completion(r).map(|c| c.input_tokens().0)
        })?;
        self.column(&mut columns, "output_tokens", |r| {
            Some(completion(r)?.output_tokens()?.0)
        })?;
        self.column(&mut columns, "output_source", |r| {
            Some(completion(r)?.output_tokens()?.1)
        })?;
        self.column(&mut columns, "finish_reason", |r| {
            completion(r)?.finish_reason
        })?;
        self.column(&mut columns, "content_us", |r| {
            ContentUs(r.completed().map(|r| (r.sent_ns, r.outcome)))
        })?;
        if self
            .iter()
            .any(|r| completion(r).is_some_and(|c| c.requested_output.is_some()))
        {
            self.column(&mut columns, "requested_tokens", |r| {
                completion(r)?.requested_output
            })?;
        }
        let first_answer_us = self.by_position(|r| {
            let sent_ns = r.sent_ns;
            Some(micros_after(sent_ns, completion(r)?.first_answer_ns?))
        });
        let refused = self.by_position(|r| completion(r)?.refused_count);
        let (zeros, impossible): (BTreeMap<_, _>, _) =
            refused.into_iter().partition(|(_, count)| *count == 0);
        let zeros: BTreeSet<usize> = zeros.into_keys().collect();
        let blocks = self.by_position(|r| match r.outcome {
            Outcome::Blocked(block) => Some(block),
            _ => None,
        });
        if self.iter().next().is_some_and(|r| r.is_scheduled) {
            columns.serialize_field("scheduled", &true)?;
        }
        if !first_answer_us.is_empty() {
            columns.serialize_field("first_answer_us", &first_answer_us)?;
        }
        if !zeros.is_empty() {
            columns.serialize_field("counts_zero", &zeros)?;
        }
        if !impossible.is_empty() {
            let impossible: BTreeMap<usize, u32> = impossible;
            columns.serialize_field("impossible_counts", &impossible)?;
        }
        if !blocks.is_empty() {
            columns.serialize_field("blocks", &blocks)?;
        }
        columns.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Block, BlockStage, Failure, FailureCause};
    use crate::load::Window;
    use crate::load::window_tests::{completed, window};
    use crate::metrics::Summary;
    use crate::results::RunRecord;

    #[test]
    fn content_times_are_recovered_from_their_differences() {
        let request = completed(1_000_000, 3_000_400, 11_000_900, 9);
        let (windows, columns) = RunRecord::columns(&[[window(vec![request.clone()], 0, 0)]]);
        assert_eq!(windows[0].requests, 1);
        let Outcome::Completed(exact) = &request.outcome else {
            unreachable!("made as completed");
        };
        let read = columns.iter().next().expect("a request");
        let Outcome::Completed(read) = &read.outcome else {
            unreachable!("its status is ok");
        };
        assert_eq!(read.content_ns.len(), 9);
        for (read, exact) in read.content_ns.iter().zip(exact.content_ns.iter()) {
            assert!(
                read.abs_diff(exact) <= 500,
                "{} ns off",
                read.abs_diff(exact)
            );
        }
        let json = serde_json::to_value(&columns).expect("JSON");
        assert_eq!(json["status"], serde_json::json!(["ok"]));
    }

    #[test]
    fn every_figure_can_be_taken_from_the_columns_again() {
        let mut requests: Vec<RequestRecord> = (1..20)
            .map(|k| completed(k * 1_000_000, (k + 3) * 1_000_000, (k + 39) * 1_000_000, 7))
            .collect();
        if let Outcome::Completed(completion) = &mut requests[3].outcome {
            (completion.usage_output, completion.counted_output) = (None, Some(5));
            (completion.refused_count, completion.first_answer_ns) = (Some(0), Some(9_000_000));
            completion.requested_output = Some(6);
        }
        for (at, cause) in [(5, FailureCause::Http(503)), (6, FailureCause::Timeout)] {
            let message = String::new();
            requests[at].outcome = Outcome::Failed(Failure { cause, message });
        }
        requests[8].outcome = Outcome::Blocked(Block {
            stage: BlockStage::Answer,
            category: "Violence".into(),
            severity: 4,
        });
        let windows: Vec<Window> = requests
            .chunks(7)
            .map(|requests| window(requests.to_vec(), 3, 5))
            .collect();
        let (records, columns) = RunRecord::columns(&[&windows]);
        let json = serde_json::to_string(&columns).expect("JSON");
        let read: RequestColumns = serde_json::from_str(&json).expect("columns");
        let written_again = serde_json::to_string(&read).expect("JSON");
        assert_eq!(written_again, json);
        let parts = read.divided(records.iter().map(|record| record.requests));
        let again: Vec<Window> = windows
            .iter()
            .zip(parts)
            .map(|(measured, requests)| Window {
                requests,
                ..measured.clone()
            })
            .collect();
        let figures = |windows: &[Window]| {
            let summary = Summary::of(windows, 7.0, 1).expect("some completed");
            serde_json::to_value(summary).expect("JSON")
        };
        assert_eq!(figures(&again), figures(&windows));
    }

    #[test]
    fn columns_cut_short_yield_what_is_whole() {
        let requests = [completed(0, 1, 2, 1), completed(0, 1, 2, 1)];
        let columns: RequestColumns = requests.into_iter().collect();
        let mut json = serde_json::to_value(&columns).expect("JSON");
        let status = json["status"].as_array_mut().expect("a column");
        assert_eq!(status.pop(), Some("ok".into()));
        let read: RequestColumns = serde_json::from_value(json).expect("columns");
        assert_eq!((read.len(), read.iter().count()), (1, 1));
    }
}
