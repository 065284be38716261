use crate::endpoint::failure::EndpointFailure;

/// Why an endpoint counts as ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadyProof {
    /// `/health` answered 2xx.
    Healthy,
    /// It answered a request for this model.
    Answered {
        /// The model.
        model: String,
        /// Why `/health` did not answer 2xx.
        health: EndpointFailure,
    },
}
