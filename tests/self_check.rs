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
        let threads = (0..4 * cores).map(spin).collect();
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

/// How a run shares the cores with the [`BusyThreads`].
#[derive(Clone, Copy, PartialEq)]
enum Share {
    /// As every process does.
    Equal,
    /// At a nice value that leaves the run a few percent of each core, whatever the scheduler's policy of waking up.
    Scraps,
}

fn run(share: Share) -> Ran {
    let bench = CargoBench::one_point();
    // Built before the load on the cores, and run without cargo, which would be slowed down as well.
    let executable = bench.executable();
    let mut command = match share {
        Share::Equal => bench.command(executable),
        Share::Scraps => {
            let mut nice = bench.command("nice");
            nice.args(["-n", "5"]).arg(executable);
            nice
        }
    };
    command.args(["--bench", "output_tok_s", "--warm-up-time", "0.3"]);
    command.args(["--measurement-time", "2"]);
    let ran = bench.ran(&command.output().expect("the bench runs"));
    assert!(ran.succeeded, "{}", ran.text);
    ran
}

/// A run that nothing but the machine's other work disturbs; of three, the first that kept up.
fn healthy_run() -> Ran {
    let kept_up = |ran: &Ran| {
        let check = &ran.record()["self_check"];
        println!("healthy: {check}");
        check["client_bound"].as_array().expect("a list").is_empty()
    };
    (0..3)
        .map(|_| run(Share::Equal))
        .find(kept_up)
        .expect("a client that keeps up in one of three runs")
}

#[test]
fn a_client_without_cores_is_called_client_bound_and_a_healthy_one_is_not() {
    let healthy = healthy_run();
    assert!(!healthy.text.contains("client-bound"), "{}", healthy.text);
    assert!(healthy.csv().contains("kept up"), "{}", healthy.csv());

    let starved = {
        let _busy = BusyThreads::start();
        run(Share::Scraps)
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
