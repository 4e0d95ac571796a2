//! Trailers between HTTP/2's form and ours.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::http1::trailers::Trailers;
use crate::refusal::UpstreamFault;

pub fn to_map(trailers: &Trailers) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in trailers.iter() {
        // Both were proved when they were read; the map takes far more than trailers may hold.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            let _ = map.try_append(name, value);
        }
    }
    map
}

/// Those that may go on. Refuses more than a trailer section of HTTP/1.1 may hold.
pub fn from_map(map: &HeaderMap) -> Result<Trailers, UpstreamFault> {
    let mut trailers = Trailers::default();
    for (name, value) in map {
        trailers
            .add(name.as_str().as_bytes(), value.as_bytes())
            .map_err(|_| UpstreamFault::HeadersTooLarge)?;
    }
    Ok(trailers)
}
