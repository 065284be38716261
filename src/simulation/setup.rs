use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use crate::config::{ArrivalProcess, SteadyStart};
use crate::engine::{Noise, Preset, Seeds, Slowdown};
use crate::level::Level;
use crate::load::{Arrivals, Constructor, LoadShape, Pacing, STEADY};
use crate::request_rate::RequestRate;

/// Times on the wire, and in the code at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// From sending a request to its arrival in the engine.
    pub to_server: Duration,
    /// From a token's emission to its arrival at the client.
    pub to_client: Duration,
    /// From sending a request until the client can send another. So requests that are sent
    /// together reach the engine one after another, and the first step of an idle engine has one of them.
    pub between_sends: Duration,
}

impl Wire {
    /// Approximate times of loopback between servemark's client and its engine.
    pub const LOOPBACK: Wire = Wire {
        to_server: Duration::from_micros(150),
        to_client: Duration::from_micros(100),
        between_sends: Duration::from_micros(30),
    };

    /// No time: only the engine's own time remains.
    pub const NONE: Wire = Wire {
        to_server: Duration::ZERO,
        to_client: Duration::ZERO,
        between_sends: Duration::ZERO,
    };
}

/// Settings of a simulation. Build with [`VirtualSetup::new`] and struct update.
#[derive(Clone, Debug)]
pub struct VirtualSetup {
    /// The engine.
    pub preset: Preset,
    /// Noise of the step times. Default: the preset's.
    pub noise: Noise,
    /// Makes steps slower by exact factors. Default none.
    pub slowdown: Slowdown,
    /// Engines behind the load, taken in turn. Default 1.
    pub replicas: NonZeroUsize,
    /// Seeds of the noise: different seeds give different runs. Default 0.
    pub seeds: Seeds,
    /// Start of the load on the time axis, along which the machine drifts. Default zero.
    pub begin: Duration,
    /// When the next request starts. Default steady.
    pub shape: &'static LoadShape,
    /// Requests in flight; the most of them in an open loop. Default 8.
    pub concurrency: NonZeroUsize,
    /// Arrivals of an open loop per second (above 0). Default 1.
    pub request_rate: f64,
    /// How the gaps between the arrivals of an open loop are distributed. Default Poisson.
    pub arrivals: ArrivalProcess,
    /// Prompt length (tokens). Default 100.
    pub prompt_tokens: usize,
    /// Leading tokens that all prompts share, for the prefix cache. Default 0.
    pub shared_prefix_tokens: usize,
    /// Output length (tokens). Default 32.
    pub output_tokens: NonZeroU32,
    /// Times between client and engine. Default [`Wire::LOOPBACK`].
    pub wire: Wire,
}

impl VirtualSetup {
    /// How hard the engines are loaded.
    pub fn level(&self) -> Level {
        match RequestRate::new(self.request_rate) {
            Some(rate) if self.shape.is_open() => Level::Rate(rate),
            _ => self.concurrency.into(),
        }
    }

    /// The pacing of a load that begins at `begin_ns`.
    pub(super) fn pacing(&self, begin_ns: u64) -> Pacing {
        match self.shape.constructor {
            Constructor::Closed(new) => new(begin_ns, self.concurrency, SteadyStart::Together),
            Constructor::Open(new) => {
                let arrivals = Arrivals::new(self.request_rate, self.arrivals, self.seeds.steps);
                new(begin_ns, self.concurrency, arrivals)
            }
        }
    }

    /// A steady load of 8 short requests on one replica of `preset`.
    pub fn new(preset: Preset) -> VirtualSetup {
        const EIGHT: NonZeroUsize = NonZeroUsize::new(8).unwrap();
        const THIRTY_TWO: NonZeroU32 = NonZeroU32::new(32).unwrap();
        VirtualSetup {
            noise: preset.noise,
            preset,
            slowdown: Slowdown::NONE,
            replicas: NonZeroUsize::MIN,
            seeds: Seeds::from(0),
            begin: Duration::ZERO,
            shape: &STEADY,
            concurrency: EIGHT,
            request_rate: 1.0,
            arrivals: ArrivalProcess::Poisson,
            prompt_tokens: 100,
            shared_prefix_tokens: 0,
            output_tokens: THIRTY_TWO,
            wire: Wire::LOOPBACK,
        }
    }
}
