//! [`Offer`]: what a seller asks of a buyer, as a challenge and a redemption put it together.

use alloy_primitives::Address;
use loopd_kernel::Kernel;
use loopd_kernel::egress::Url;
use loopd_types::{Problem, Result};
use serde_json::{Value as Json, json};

use super::rules::{self, Asked};
use crate::Pay;
use crate::endpoint::rules as places;
use crate::evm::Network;
use crate::mpp;
use crate::project::Project;
use crate::x402::{self, Requirement, Version};

pub struct Offer<'p> {
    pub project: Project,
    pub network: &'p Network,
    pub asked: Asked,
    pub requirement: Requirement,
    /// MPP's, unless the seller says another: the host of what is sold, or the project where that is no address.
    own_realm: String,
}

impl<'p> Offer<'p> {
    /// # Errors
    /// 400 for a network that is not served here.
    pub fn new(pay: &'p Pay, project: Project, asked: Asked) -> Result<Self> {
        let network = pay.network_named(asked.network.as_deref())?;
        let pay_to: Address = project.recipient().parse().map_err(Problem::internal)?;
        let requirement = rules::requirement(network, pay_to, asked.amount_micros)?;
        let host = Url::parse(asked.resource.trim()).ok().and_then(|url| url.host_str().map(str::to_owned));
        let own_realm = host.filter(|host| !host.is_empty()).unwrap_or_else(|| project.public_id.clone());
        Ok(Self { project, network, asked, requirement, own_realm })
    }

    /// Which place is sold, as payments are matched with endpoints and with challenges.
    pub fn place(&self) -> String {
        places::place(&self.asked.resource)
    }

    /// What is asked in x402: the body of the 402 in version 1, without `error`, as the original gives it; what the header
    /// `PAYMENT-REQUIRED` holds in version 2.
    pub fn challenge(&self, version: Version) -> Json {
        self.challenge_after(version, None)
    }

    /// As [`Offer::challenge`], after a payment that was refused for `error`.
    pub fn challenge_after(&self, version: Version, error: Option<&str>) -> Json {
        let offer = x402::wire::Offer {
            requirement: &self.requirement,
            network: self.network,
            resource: &self.asked.resource,
            description: self.asked.description.as_deref().unwrap_or_default(),
            mime_type: "",
        };
        x402::wire::payment_required(version, &[offer], error)
    }

    /// What is asked in MPP; `place` is [`Offer::place`].
    pub fn charge<'a>(&'a self, place: &'a str) -> mpp::Charge<'a> {
        let terms = self.asked.mpp.as_ref();
        mpp::Charge {
            requirement: &self.requirement,
            decimals: self.network.token(self.requirement.asset).map(|token| token.decimals),
            realm: terms.and_then(|terms| terms.realm.as_deref()).unwrap_or(&self.own_realm),
            external_id: terms.and_then(|terms| terms.external_id.as_deref()),
            digest: terms.and_then(|terms| terms.digest.as_deref()),
            place,
            description: self.asked.description.as_deref(),
        }
    }

    /// A new challenge of MPP, if the seller offers it.
    pub fn payment_challenge(&self, kernel: &Kernel) -> Option<mpp::Challenge> {
        self.asked.mpp.as_ref()?;
        let key = mpp::Key::of(kernel, self.project.id);
        Some(mpp::Challenge::new(&key, &self.charge(&self.place()), kernel.now(), kernel.rng.as_ref()))
    }

    /// The body of a challenge: x402's, with the header of MPP as a member where it is offered.
    pub fn body(&self, fresh: Option<&mpp::Challenge>) -> Json {
        let mut body = self.challenge(Version::V1);
        if let Some(fresh) = fresh {
            body["wwwAuthenticate"] = json!(fresh.header());
        }
        body
    }
}
