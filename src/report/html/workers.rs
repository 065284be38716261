//! Parallel map over items, on all cores.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;

/// Applies `work` to each item in parallel; the results are in the order of the items.
pub(super) fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = items.len().div_ceil(cores).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        let shares = items.chunks(share);
        let workers: Vec<_> = shares
            .map(|items| scope.spawn(move || items.iter().map(work).collect::<Vec<R>>()))
            .collect();
        let made = workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        made.collect()
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..101).collect();
        let doubled = super::each(&items, |item| 2 * item);
        assert!(
            doubled
                .iter()
                .zip(&items)
                .all(|(made, item)| *made == 2 * item)
        );
        assert!(super::each(&[], |item: &u32| *item).is_empty());
    }
}
