use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A time in which an endpoint served nothing although it was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outage {
    /// Which run of the point's `RUNS`, from 0 on.
    pub run: u32,
    /// Position of the endpoint in the list.
    pub endpoint: usize,
    /// Its address.
    pub url: String,
    /// Begin, since the run's first window began (s).
    pub from_s: f64,
    /// End, since the run's first window began (s).
    pub to_s: f64,
    /// Whether it answered a request afterwards.
    pub recovered: bool,
    /// How it showed.
    pub kind: OutageKind,
}

/// How an outage showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutageKind {
    /// Every request that ended there failed.
    Failed {
        /// How many.
        requests: usize,
        /// By which causes, most frequent first.
        causes: Vec<(String, usize)>,
    },
    /// No byte came, although requests were in flight.
    Silent {
        /// Most of them at a time.
        in_flight: usize,
    },
}

impl fmt::Display for Outage {
    /// `endpoint http://a:8001: 37 requests failed between 4.2 s and 6.8 s (connection failed); it answers again`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.run > 0 {
            write!(f, "in run {}, ", self.run + 1)?;
        }
        write!(f, "endpoint {}: ", self.url)?;
        let (from, to) = (self.from_s, self.to_s);
        match &self.kind {
            OutageKind::Failed { requests, causes } => {
                let causes = match &causes[..] {
                    [(cause, _)] => cause.clone(),
                    several => {
                        let each = several
                            .iter()
                            .map(|(cause, count)| format!("{count} × {cause}"));
                        Vec::from_iter(each).join(", ")
                    }
                };
                let plural = if *requests == 1 { "" } else { "s" };
                write!(
                    f,
                    "{requests} request{plural} failed between {from:.1} s and {to:.1} s ({causes}), and none succeeded"
                )?;
            }
            OutageKind::Silent { in_flight } => {
                let plural = if *in_flight == 1 { "" } else { "s" };
                let seconds = to - from;
                write!(
                    f,
                    "no byte for {seconds:.1} s from {from:.1} s on, with {in_flight} request{plural} in flight"
                )?;
            }
        }
        f.write_str(match self.recovered {
            true => "; it answers again",
            false => "; it has not answered since",
        })
    }
}
