use std::num::NonZeroUsize;

use super::*;
use crate::engine::{Noise, Preset, Slowdown};
use crate::load::{STEADY, WAVE};
use crate::metrics::{Summary, latency};

fn preset(change: impl FnOnce(&mut Preset)) -> Preset {
    let mut preset = Preset::named("instant").expect("shipped");
    change(&mut preset);
    preset
}

/// Steps of 10 ms whatever their work.
fn ten_ms() -> Preset {
    preset(|p| p.step_time.base_us = 10_000.0)
}

fn summary(setup: VirtualSetup) -> Summary {
    let replicas = setup.replicas.get();
    let mut load = VirtualLoad::start(setup).expect("sound");
    load.window(4);
    let windows: Vec<Window> = (0..8).map(|_| load.window(2)).collect();
    Summary::of(&windows, 0.0, replicas).expect("requests completed")
}

#[test]
fn a_lone_request_takes_its_steps_and_the_wire() {
    let mut load = VirtualLoad::start(VirtualSetup {
        concurrency: NonZeroUsize::MIN,
        ..VirtualSetup::new(ten_ms())
    })
    .expect("sound");
    let window = load.window(3);
    let request = window.completed().nth(2).expect("three requests");
    assert_eq!(latency::ttft_ns(&request), Some(10_250_000.0));
    assert_eq!(latency::e2el_ns(&request), 320_250_000.0);
    assert!(latency::itl_ns(&request.outcome).all(|gap| gap == 10_000_000.0));
    assert_eq!(window.wall_ns(), 3 * 320_250_000);
}

#[test]
fn requests_that_miss_a_step_wait_for_the_next() {
    // The first of those sent together finds the engine idle and starts a step alone; the
    // others wait for its end, from then on in every round.
    let figures = summary(VirtualSetup::new(ten_ms()));
    let ttft = figures.ttft_ms.expect("streamed");
    assert!((10.2..10.3).contains(&ttft.p50) || (19.0..20.3).contains(&ttft.p50));
    assert!((19.0..20.3).contains(&ttft.p90), "{ttft:?}");
    // Sent at the very same time, all begin together.
    let figures = summary(VirtualSetup {
        wire: Wire::NONE,
        ..VirtualSetup::new(ten_ms())
    });
    assert_eq!(figures.ttft_ms.expect("streamed").p99, 10.0);
}

#[test]
fn an_exact_slowdown_is_seen_exactly() {
    let setup = || VirtualSetup {
        wire: Wire::NONE,
        noise: Noise::default(),
        ..VirtualSetup::new(Preset::named("llama3-70b-h100-tp4").expect("shipped"))
    };
    let base = summary(setup());
    for text in ["2%", "5%", "-3%"] {
        let slowdown: Slowdown = text.parse().expect("valid");
        let slowed = summary(VirtualSetup {
            slowdown,
            ..setup()
        });
        let ratio = base.rps / slowed.rps;
        assert!((ratio / slowdown.decode - 1.0).abs() < 1e-6, "{ratio}");
    }
}

#[test]
fn equal_seeds_give_equal_windows_and_other_seeds_others() {
    let run = |seed: u64| {
        let noise = "step=0.02,drift=0.02:5,run=0.01,stall=0.5:50".parse();
        let mut load = VirtualLoad::start(VirtualSetup {
            seeds: seed.into(),
            noise: noise.expect("valid"),
            replicas: NonZeroUsize::new(2).expect("two"),
            ..VirtualSetup::new(Preset::named("sim-small").expect("shipped"))
        })
        .expect("sound");
        let ends = |window: Window| window.requests.iter().map(|r| r.end_ns).collect::<Vec<_>>();
        ends(load.window(20))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn both_shapes_keep_c_in_flight_and_lose_no_token() {
    for shape in [&STEADY, &WAVE] {
        let mut load = VirtualLoad::start(VirtualSetup {
            shape,
            replicas: NonZeroUsize::new(3).expect("three"),
            concurrency: NonZeroUsize::new(12).expect("twelve"),
            ..VirtualSetup::new(Preset::named("sim-small").expect("shipped"))
        })
        .expect("sound");
        let windows = [load.window(1), load.window(5), load.window(2)];
        for window in &windows {
            assert_eq!(window.requests.len() as u64, 12 * window.rounds);
            for request in window.completed() {
                assert_eq!(request.outcome.content_ns.len(), 32, "{shape:?}");
                assert!(request.outcome.content_ns.iter().is_sorted());
            }
        }
        for pair in windows.windows(2) {
            assert_eq!(pair[0].end_ns, pair[1].start_ns, "{shape:?}");
            assert_eq!(pair[0].carried_out, pair[1].carried_in);
        }
        // Every token of the load is in a window or still in flight.
        let received: f64 = windows.iter().filter_map(Window::output_tokens).sum();
        let completed = 32.0 * 12.0 * 8.0;
        let carried = windows[2].carried_out as f64;
        assert!((received - completed - carried).abs() < 1e-6, "{received}");
    }
}

#[test]
fn a_shared_prefix_saves_prefill() {
    let prefill = || {
        preset(|p| {
            p.step_time.per_prefill_token_us = 100.0;
            p.step_time.base_us = 1_000.0;
        })
    };
    let ttft = |shared_prefix_tokens| {
        let setup = VirtualSetup {
            prompt_tokens: 1_000,
            shared_prefix_tokens,
            concurrency: NonZeroUsize::MIN,
            ..VirtualSetup::new(prefill())
        };
        summary(setup).ttft_ms.expect("streamed").p50
    };
    // 62 of 63 blocks are cached; the last one is computed.
    let (cold, warm) = (ttft(0), ttft(1_000));
    assert!((cold - 101.25).abs() < 0.1 && warm < 3.0, "{cold} {warm}");
}

#[test]
fn requests_that_do_not_fit_are_refused() {
    let setup = VirtualSetup {
        prompt_tokens: 20_000,
        ..VirtualSetup::new(Preset::named("sim-small").expect("shipped"))
    };
    let error = VirtualLoad::start(setup).expect_err("too long").to_string();
    assert!(error.contains("max_model_len"), "{error}");
}

#[test]
fn times_past_the_end_of_the_axis_end_the_load_and_do_not_panic() {
    let endless = preset(|p| {
        p.step_time.base_us = f64::MAX;
        p.frontend.latency_us = f64::MAX;
    });
    let mut load = VirtualLoad::start(VirtualSetup {
        noise: "step=0.1,stall=1000000:1".parse().expect("valid"),
        ..VirtualSetup::new(endless)
    })
    .expect("its parameters are numbers");
    assert_eq!(load.window(1).end_ns, u64::MAX);
}
