use super::server_stats::ServerStats;
use crate::client::ExpectedAnswer;
use crate::endpoint::Endpoints;
use crate::load::{SelfCheck, Window};
use crate::metrics::Outage;
use crate::prompt::RequestLengths;
use crate::results::RankPart;

/// The result of one run of a point's load.
pub struct Measured<'a> {
    /// The lengths of the requests.
    pub lengths: RequestLengths,
    /// The expected answer to each request.
    pub expected: ExpectedAnswer,
    /// The servers under load.
    pub endpoints: &'a Endpoints,
    pub windows: &'a [Window],
    pub servers: ServerStats,
    pub self_check: Option<SelfCheck>,
    /// When an endpoint served nothing.
    pub outages: Vec<Outage>,
    pub origin: DrivenBy<'a>,
    /// Why it is only a part of what was planned, if it is.
    pub partial: Option<String>,
}

/// The way in which a load was driven.
pub enum DrivenBy<'a> {
    /// By this process alone.
    Direct,
    /// By several processes: the ranks, and the clock of the windows at zero (ns since 1970).
    Distributed {
        ranks: Vec<RankPart>,
        clock_unix_ns: u64,
    },
    /// In turns with another side: this side's name.
    InTurns { side: &'a str },
}
