//! The requests of all ranks in the order of their ends, read from the ranks' parts where they are kept in a few bytes
//! each.

use std::collections::BTreeMap;
use std::iter::Enumerate;

use super::Shift;
use crate::client::RequestRecord;
use crate::requests::Requests;

/// The requests of several ranks on one clock.
pub(super) struct EndOrder {
    /// Each rank's requests, and what brings them onto the clock.
    parts: Vec<(Shift, Requests)>,
    /// Where each request is, in the order of the ends.
    places: Vec<Place>,
}

/// A request's end and number, then where it is: the order of the fields is the order of requests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    end_ns: u64,
    index: u64,
    part: u32,
    position: u32,
}

impl EndOrder {
    /// Puts the requests of these parts in order.
    pub fn of(parts: Vec<(Shift, Requests)>) -> EndOrder {
        let mut places = Vec::with_capacity(parts.iter().map(|(_, r)| r.len()).sum());
        for (part, (shift, requests)) in (0..).zip(&parts) {
            places.extend((0..).zip(requests.iter()).map(|(position, request)| Place {
                end_ns: shift.apply(request.end_ns),
                index: request.index,
                part,
                position,
            }));
        }
        places.sort_unstable();
        EndOrder { parts, places }
    }

    /// How many requests ended before this time.
    pub fn ended_before(&self, at_ns: u64) -> usize {
        self.places.partition_point(|place| place.end_ns < at_ns)
    }

    /// When the request at `position` ended.
    ///
    /// # Panics
    /// If there is none.
    pub fn end_ns(&self, position: usize) -> u64 {
        self.places[position].end_ns
    }

    /// The requests in order. As each rank keeps its own nearly in this order, few are in memory at a time.
    pub fn iter(&self) -> impl Iterator<Item = RequestRecord> + use<'_> {
        let mut readers: Vec<RequestReader<'_>> =
            self.parts.iter().map(RequestReader::of).collect();
        let request =
            move |place: &Place| readers[place.part as usize].take(place.position as usize);
        self.places.iter().filter_map(request)
    }
}

/// Reads the requests of a part, not quite in the part's order.
struct RequestReader<'p> {
    shift: Shift,
    rest: Enumerate<Box<dyn Iterator<Item = RequestRecord> + 'p>>,
    /// Requests that were read before it was their turn, by position.
    early: BTreeMap<usize, RequestRecord>,
}

impl<'p> RequestReader<'p> {
    fn of((shift, requests): &'p (Shift, Requests)) -> RequestReader<'p> {
        let rest: Box<dyn Iterator<Item = RequestRecord> + 'p> = Box::new(requests.iter());
        RequestReader {
            shift: *shift,
            rest: rest.enumerate(),
            early: BTreeMap::new(),
        }
    }

    /// The request at `position`, which is asked for once.
    fn take(&mut self, position: usize) -> Option<RequestRecord> {
        let request = match self.early.remove(&position) {
            Some(request) => request,
            None => self.read_to(position)?,
        };
        Some(self.shift.moved(request))
    }

    fn read_to(&mut self, position: usize) -> Option<RequestRecord> {
        for (at, request) in &mut self.rest {
            if at == position {
                return Some(request);
            }
            self.early.insert(at, request);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::window_tests::completed;

    #[test]
    fn requests_come_in_the_order_of_their_ends_whoever_sent_them() {
        let part = |ends: &[(u64, u64)]| -> Requests {
            let requests = ends.iter().map(|(end_ns, index)| RequestRecord {
                index: *index,
                ..completed(1_000, 2_000, *end_ns, 2)
            });
            requests.collect()
        };
        // The second rank's clock began 10 µs later; neither has its requests quite in order.
        let parts = vec![
            (
                Shift::between(0, 0),
                part(&[(20_000, 1), (50_000, 2), (30_000, 3)]),
            ),
            (
                Shift::between(10_000, 0),
                part(&[(60_000, 4), (10_000, 5), (20_000, 0)]),
            ),
        ];
        let order = EndOrder::of(parts);
        let ends: Vec<(u64, u64)> = order.iter().map(|r| (r.end_ns, r.index)).collect();
        let sorted = [
            (20_000, 1),
            (20_000, 5),
            (30_000, 0),
            (30_000, 3),
            (50_000, 2),
            (70_000, 4),
        ];
        assert_eq!(ends, sorted);
        assert_eq!(
            [30_000, 30_001].map(|at_ns| order.ended_before(at_ns)),
            [2, 4]
        );
        assert_eq!(order.end_ns(5), 70_000);
        let sent = order.iter().map(|request| request.sent_ns);
        assert_eq!(
            Vec::from_iter(sent),
            [1_000, 11_000, 11_000, 1_000, 1_000, 11_000]
        );
    }
}
