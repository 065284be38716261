//! The client watches itself: quiet on a healthy run, loud where something else takes its cores.
//!
//! One test, so that nothing of this file runs beside it.

mod cargo_bench;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cargo_bench::{CargoBench, Ran};

/// Threads that want every core, several for each, until dropped.
struct BusyThreads {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl BusyThreads {
    fn start() -> BusyThreads {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let stop = Arc::new(AtomicBool::new(false));
        let spin = |_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..6 * cores).map(spin).collect();
        BusyThreads { stop, threads }
    }
}

impl Drop for BusyThreads {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn run() -> Ran {
    let mut bench = CargoBench::new("chat_throughput");
    bench
        .env("SERVEMARK_PROMPT_KEYS", "25")
        .env("SERVEMARK_MAX_NEW_TOKENS", "16")
        .env("SERVEMARK_CONCURRENT_LEVELS", "4");
    let ran = bench.run(&[
        "output_tok_s",
        "--warm-up-time",
        "0.3",
        "--measurement-time",
        "2",
    ]);
    assert!(ran.succeeded, "{}", ran.text);
    ran
}

#[test]
fn a_client_without_cores_is_called_client_bound_and_a_healthy_one_is_not() {
    let healthy = run();
    let check = &healthy.record()["self_check"];
    println!("healthy: {check}");
    assert_eq!(
        check["client_bound"].as_array().expect("a list").len(),
        0,
        "{check}"
    );
    assert!(!healthy.text.contains("client-bound"), "{}", healthy.text);
    assert!(healthy.csv().contains("kept up"), "{}", healthy.csv());

    let starved = {
        let _busy = BusyThreads::start();
        run()
    };
    let check = &starved.record()["self_check"];
    println!("starved: {check}");
    assert!(
        !check["client_bound"].as_array().expect("a list").is_empty(),
        "{check}"
    );
    assert!(
        starved.text.contains("c=4: client-bound: "),
        "{}",
        starved.text
    );
    assert!(starved.csv().contains("client-bound"), "{}", starved.csv());
}
