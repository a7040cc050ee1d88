//! [`Pay`]: how this installation takes payments.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use loopd_kernel::Kernel;
use loopd_types::{Problem, Result};

use crate::Settings;
use crate::analytics::Tally;
use crate::evm::{Chain, Network, Networks, Rpc};
use crate::settings::Mode;
use crate::settlement::outside::Outside;
use crate::settlement::rpc::Relay;
use crate::settlement::sandbox::{Ledger, Sandbox};
use crate::settlement::{Engine, Flights, Settlement};
use crate::x402::Version;
use crate::x402::{self, Payment, Reason, Refusal, Requirement, Verified};

/// Built once by the binary, before the database is opened; what needs the database is handed the kernel.
pub struct Pay {
    pub settings: Settings,
    networks: Networks,
    nodes: Vec<Arc<Rpc>>,
    engine: Option<Arc<dyn Engine>>,
    pub(crate) flights: Flights,
    /// Refused payments, until they are written.
    pub refusals: Tally,
}

/// How long one question to a node may take.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Pay {
    /// Builds the engine that the settings name.
    ///
    /// # Errors
    /// In words, when it cannot be built from them.
    pub fn new(settings: Settings) -> Result<Arc<Self>, String> {
        let node = |node: &crate::settings::Node| {
            let made = Rpc::new(node.chain, node.url.expose(), TIMEOUT, settings.factories.clone());
            made.map(Arc::new).map_err(|words| format!("LOOP_EVM_RPC_URL of chain {}: {words}", node.chain))
        };
        let nodes = settings.nodes.iter().map(node).collect::<Result<Vec<_>, _>>()?;
        let engine: Option<Arc<dyn Engine>> = match settings.mode {
            Mode::Off => None,
            Mode::Sandbox => Some(Arc::new(Sandbox { grant: settings.grant })),
            Mode::Rpc => Some(Arc::new(Relay::new(&nodes, &settings)?)),
            Mode::Facilitator => Some(Arc::new(Outside::new(&nodes, Networks::known(), &settings)?)),
        };
        Ok(Arc::new(Self {
            settings,
            networks: Networks::known(),
            nodes,
            engine,
            flights: Flights::default(),
            refusals: Tally::default(),
        }))
    }

    /// What moves the money; `None` when payments are off.
    pub fn engine(&self) -> Option<&Arc<dyn Engine>> {
        self.engine.as_ref()
    }

    /// The chains that are known, whether or not payments are taken on them.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// Judges a payment where it would be settled.
    ///
    /// # Errors
    /// [`Refusal`], as [`x402::verify`]; `invalid_network` where nothing is settled, `unsupported_asset` for tokens that
    /// payments are not taken in.
    pub async fn verify(
        &self,
        kernel: &Arc<Kernel>,
        payment: &Payment,
        requirement: &Requirement,
    ) -> Result<Verified, Refusal> {
        let Some(chain) = self.chain(kernel, requirement.chain) else {
            let words = format!("payments are not taken on eip155:{}", requirement.chain);
            return Err(Refusal::new(Reason::UnsupportedNetwork, words).of(payment.payer()));
        };
        // A strange contract may do with our gas what it likes. A payment of another chain is refused for that.
        let network = self.networks.get(requirement.chain);
        let is_money = network.is_some_and(|network| network.token(requirement.asset).is_some());
        if payment.chain == requirement.chain && !is_money {
            let words = format!("payments are not taken in {}", requirement.asset);
            return Err(Refusal::new(Reason::UnsupportedAsset, words).of(payment.payer()));
        }
        x402::verify(chain.as_ref(), payment, requirement, kernel.now()).await
    }

    /// Where payments on a chain are verified: the sandbox's ledger, or the chain's node; `None` when there is neither.
    pub fn chain(&self, kernel: &Arc<Kernel>, id: u64) -> Option<Arc<dyn Chain>> {
        if self.is_sandbox() {
            let network = self.networks.get(id)?.clone();
            return Some(Arc::new(Ledger { kernel: kernel.clone(), network, grant: self.settings.grant }));
        }
        let node: Arc<dyn Chain> = self.nodes.iter().find(|node| node.id() == id)?.clone();
        Some(node)
    }

    /// The chains that payments are taken on.
    pub fn chains(&self) -> Vec<u64> {
        match self.settings.mode {
            Mode::Off => Vec::new(),
            Mode::Sandbox => self.networks.iter().map(|network| network.chain).collect(),
            Mode::Rpc | Mode::Facilitator => self.nodes.iter().map(|node| node.id()).collect(),
        }
    }

    /// The network that a seller names, in the words of either version of x402; the first that is served, for one who names none.
    ///
    /// # Errors
    /// 400 for a network that is not served here.
    pub fn network_named(&self, name: Option<&str>) -> Result<&Network> {
        let chains = self.chains();
        let found = match name.filter(|name| !name.is_empty()) {
            None => chains.first().and_then(|chain| self.networks.get(*chain)),
            Some(name) => self.networks.named(Version::V1, name).or_else(|| self.networks.named(Version::V2, name)),
        };
        found.filter(|network| chains.contains(&network.chain)).ok_or_else(|| {
            let served: Vec<String> =
                chains.iter().filter_map(|it| self.networks.get(*it)).map(Network::common_name).collect();
            Problem::invalid(
                "bad_request",
                format!("network must be one of those that are served here: {}", served.join(", ")),
            )
        })
    }

    /// The addresses that transactions are sent from.
    pub fn senders(&self) -> Vec<Address> {
        let keys = if self.settings.mode == Mode::Rpc { self.settings.keys.as_slice() } else { &[] };
        keys.iter().filter_map(|key| crate::evm::address_of_key(key.expose())).collect()
    }

    /// Whether no real money moves.
    pub fn is_sandbox(&self) -> bool {
        self.settings.mode == Mode::Sandbox
    }

    /// Whether what a settlement moved is money of the kind that this engine moves: what was settled in the sandbox is nothing on a
    /// chain, and the other way round.
    pub(crate) fn knows(&self, settlement: &Settlement) -> bool {
        self.engine.is_some() && self.is_sandbox() == settlement.is_sandbox()
    }
}
