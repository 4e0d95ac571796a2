//! Networks that are blocked by hand, each until its time. Python keeps and shares them; here is what holds now.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use ipnet::IpNet;
use serde::Deserialize;

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockDocument {
    network: IpNet,
    /// Milliseconds since the epoch; `null`: until it is lifted.
    until_ms: Option<u64>,
}

/// For each length of a prefix that there is: its networks, and until when. An address is in one of each at most.
#[derive(Debug, Default)]
struct Blocks {
    levels: Vec<(IpNet, HashMap<IpNet, u64>)>,
    count: usize,
}

impl Blocks {
    fn compile(documents: &[BlockDocument]) -> Self {
        let mut blocks = Self { count: documents.len(), ..Self::default() };
        for document in documents {
            let network = document.network.trunc();
            let until = document.until_ms.unwrap_or(u64::MAX);
            let known = blocks.levels.iter_mut().find(|(sample, _)| is_level(sample, &network));
            if let Some((_, networks)) = known {
                networks.insert(network, until);
            } else {
                blocks.levels.push((network, HashMap::from_iter([(network, until)])));
            }
        }
        blocks
    }

    fn find(&self, address: IpAddr, now_ms: u64) -> Option<IpNet> {
        self.levels.iter().find_map(|(sample, networks)| {
            let network = IpNet::new(address, sample.prefix_len()).ok()?.trunc();
            let until = networks.get(&network).filter(|_| is_level(sample, &network))?;
            (*until > now_ms).then_some(network)
        })
    }
}

fn is_level(sample: &IpNet, network: &IpNet) -> bool {
    sample.prefix_len() == network.prefix_len() && sample.addr().is_ipv4() == network.addr().is_ipv4()
}

/// Alive for as long as the node; snapshots hold it.
#[derive(Debug, Default)]
pub struct Blocklist {
    is_any: AtomicBool,
    now: ArcSwap<Blocks>,
}

impl Blocklist {
    /// Replaces all of them, for the next request of every worker; `json` is a list of `{"network", "until_ms"}`.
    pub fn set(&self, json: &[u8]) -> Result<usize, String> {
        let documents: Vec<BlockDocument> =
            serde_json::from_slice(json).map_err(|error| format!("blocks: {error}"))?;
        self.now.store(Arc::new(Blocks::compile(&documents)));
        self.is_any.store(!documents.is_empty(), Ordering::Release);
        Ok(documents.len())
    }

    /// The network by which this address is blocked now.
    #[inline]
    pub fn find(&self, address: IpAddr, now_ms: u64) -> Option<IpNet> {
        // What nearly all requests meet, so it comes first and is one load.
        if !self.is_any.load(Ordering::Acquire) {
            return None;
        }
        self.now.load().find(address.to_canonical(), now_ms)
    }

    pub fn count(&self) -> usize {
        self.now.load().count
    }
}
