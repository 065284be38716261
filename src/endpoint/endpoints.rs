use std::num::NonZeroUsize;

use super::error::EndpointError;
use super::failure::EndpointFailure;
use super::identity::Identity;
use crate::config::EndpointUrl;

/// One server under load.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its address.
    pub url: EndpointUrl,
    /// Its identity before the load.
    pub identity: Identity,
    /// The pages that it does not serve as expected, each with the reason.
    pub unavailable_pages: Vec<(&'static str, EndpointFailure)>,
}

impl Endpoint {
    /// A note about the unavailable pages; `None` if there are none.
    pub fn note(&self) -> Option<String> {
        let pages = self.unavailable_pages.iter();
        let pages = Vec::from_iter(pages.map(|(page, why)| format!("{page} ({})", why.what)));
        (!pages.is_empty()).then(|| {
            format!(
                "{}: not answered as expected: {}; the load does not need them",
                self.url,
                pages.join(", ")
            )
        })
    }
}

/// The servers under load: at least one, all serving the same model.
#[derive(Clone, Debug)]
pub struct Endpoints {
    list: Vec<Endpoint>,
    count: NonZeroUsize,
    model: String,
}

impl Endpoints {
    /// Endpoints that all serve `model`.
    ///
    /// # Errors
    /// [`EndpointError::NoEndpoints`] for an empty list.
    pub fn new(list: Vec<Endpoint>, model: String) -> Result<Endpoints, EndpointError> {
        let count = NonZeroUsize::new(list.len()).ok_or(EndpointError::NoEndpoints)?;
        Ok(Endpoints { list, count, model })
    }

    /// The `model` field of requests to any of them.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The longest prompt and answer together that every endpoint takes (tokens); `None` if none says.
    pub fn max_model_len(&self) -> Option<u64> {
        let limits = self
            .iter()
            .filter_map(|endpoint| endpoint.identity.max_model_len);
        limits.min()
    }

    /// The number of endpoints.
    pub fn count(&self) -> NonZeroUsize {
        self.count
    }

    /// The endpoints in the order they were given; a [`Balance`](super::Balance) picks positions in it.
    pub fn as_slice(&self) -> &[Endpoint] {
        &self.list
    }

    /// The endpoints in the order they were given.
    pub fn iter(&self) -> std::slice::Iter<'_, Endpoint> {
        self.list.iter()
    }

    /// The preset of the first simulated endpoint, if any of them is simulated.
    pub fn simulated(&self) -> Option<&str> {
        self.iter()
            .find_map(|endpoint| endpoint.identity.simulated.as_deref())
    }
}

impl<'a> IntoIterator for &'a Endpoints {
    type Item = &'a Endpoint;
    type IntoIter = std::slice::Iter<'a, Endpoint>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
