//! Figures that the records of earlier versions lack.

use super::{Distribution, Summary};
use crate::load::Window;

impl Summary {
    /// With the number of values and the percentiles that a record of an earlier version lacks, from its windows.
    pub(crate) fn with_all_percentiles(mut self, windows: impl FnOnce() -> Vec<Window>) -> Summary {
        let lacks = |latency: &mut Option<Distribution>| latency.is_some_and(|d| d.count == 0);
        if !self.all_latencies().into_iter().any(lacks) {
            return self;
        }
        if let Some(mut again) = Summary::of(&windows(), 0.0, 0) {
            for (own, again) in self.all_latencies().into_iter().zip(again.all_latencies()) {
                if let (Some(own), Some(again)) = (own, again) {
                    own.fill_in(again);
                }
            }
        }
        self
    }

    fn all_latencies(&mut self) -> [&mut Option<Distribution>; 6] {
        [
            &mut self.e2el_ms,
            &mut self.ttft_ms,
            &mut self.ttfo_ms,
            &mut self.tpot_ms,
            &mut self.itl_ms,
            &mut self.safety_ms,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::window_tests::{completed, window};
    use crate::metrics::Percentile;

    #[test]
    fn a_summary_of_an_earlier_version_gets_the_percentiles_of_its_windows() {
        let requests = vec![completed(0, 200_000, 1_000_000, 4); 250];
        let windows = vec![window(requests, 0, 0)];
        let written = Summary::of(&windows, 0.0, 1).expect("answers");
        let mut json = serde_json::to_value(&written).expect("JSON");
        for latency in ["e2el_ms", "ttft_ms", "tpot_ms", "itl_ms"] {
            let fields = json[latency].as_object_mut().expect("a distribution");
            for field in ["count", "p95", "p99_9"] {
                fields.remove(field).expect(field);
            }
        }
        let older: Summary = serde_json::from_value(json).expect("its fields may be missing");
        assert_eq!(older.ttft_ms.map(|d| d.count), Some(0));
        let read = older.with_all_percentiles(|| windows);
        assert_eq!(read.ttft_ms, written.ttft_ms);
        assert_eq!(read.itl_ms, written.itl_ms);
        let e2el = read.e2el_ms.expect("answers");
        assert_eq!(e2el.percentile(Percentile::P95), Ok(1.0));
        assert_eq!(read.safety_ms, None);
        let again = read.with_all_percentiles(|| panic!("it has them all"));
        assert_eq!(again.e2el_ms, written.e2el_ms);
    }
}
