//! [`verify`]: whether a payment would be made if it were sent now.

use alloy_primitives::{Address, B256, Bytes};
use loopd_types::Timestamp;

use super::reason::{Reason, Refusal};
use super::{Authorization, Method, Payment, Permit, Requirement, rules, signature};
use crate::evm::abi::{self, PROXY};
use crate::evm::{Chain, Deployment, Domain, Fault};

/// A payment that was good a moment ago: whose key or wallet signed it, for that price, with the money there. Nothing is reserved by
/// it: until it is settled, its payer may cancel it, or spend the money elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    pub payer: Address,
    /// The payer's wallet, if it must be made first. Its factory is one that the chain allows.
    pub deployment: Option<Deployment>,
}

/// Judges a payment against what was asked: the reference facilitator's checks in its order, each with its reason
/// (`docs/x402.md`), and at last a try of the transfer. The chain is asked one question for a good payment of a key.
///
/// # Errors
/// [`Refusal`]. [`Reason::Unexpected`] when the chain gives no answer that can be believed: then nothing is known of the payment.
pub async fn verify(
    chain: &dyn Chain,
    payment: &Payment,
    requirement: &Requirement,
    now: Timestamp,
) -> Result<Verified, Refusal> {
    let payer = payment.payer();
    judge(chain, payment, requirement, now).await.map_err(|refusal| refusal.of(payer))
}

async fn judge(
    chain: &dyn Chain,
    payment: &Payment,
    requirement: &Requirement,
    now: Timestamp,
) -> Result<Verified, Refusal> {
    let asset = requirement.asset;
    let deployment = match &payment.method {
        Method::Authorization(it) => {
            let Some((name, version)) = &requirement.domain else {
                let words = "`extra.name` and `extra.version` say how the token signs, and one of them is missing";
                return Err(Refusal::new(Reason::Domain, words));
            };
            check_chains(chain, payment, requirement)?;
            let domain = Domain::of(name, version, requirement.chain, asset);
            let deployment = check_token_signature(chain, payment, requirement, &domain).await?;
            rules::check_authorization(it, payment.version, requirement, now)?;
            deployment
        }
        Method::Permit(it) => {
            check_chains(chain, payment, requirement)?;
            rules::check_permit(it, requirement, now)?;
            check_permit_signature(chain, payment, requirement).await?;
            None
        }
    };
    check_asset(chain, asset).await?;
    if matches!(payment.method, Method::Permit(_)) && !chain.has_code(PROXY).await.map_err(unknown)? {
        return Err(Refusal::new(Reason::PermitProxy, format!("x402's proxy {PROXY} is not on this chain")));
    }
    match chain.simulate(asset, payment, deployment.as_ref()).await {
        Ok(()) => Ok(Verified { payer: payment.payer(), deployment }),
        Err(Fault::Reverted(words)) => {
            let words = words.unwrap_or_else(|| "the contract gives no reason".to_owned());
            Err(match &payment.method {
                Method::Authorization(it) => why_not_authorized(chain, it, requirement, words).await,
                Method::Permit(it) => why_not_permitted(chain, it, requirement, words).await,
            })
        }
        Err(fault) => Err(unknown(fault)),
    }
}

fn check_chains(chain: &dyn Chain, payment: &Payment, requirement: &Requirement) -> Result<(), Refusal> {
    rules::check_network(payment, requirement)?;
    if chain.id() != requirement.chain {
        let words = format!("this is asked of eip155:{}, not eip155:{}", chain.id(), requirement.chain);
        return Err(Refusal::new(Reason::Network, words));
    }
    Ok(())
}

/// An address without code takes every call without complaint, so a try of the transfer would prove nothing.
async fn check_asset(chain: &dyn Chain, asset: Address) -> Result<(), Refusal> {
    match chain.domain(asset).await {
        Ok(_) => Ok(()),
        Err(Fault::Reverted(_)) => match chain.has_code(asset).await.map_err(unknown)? {
            true => Ok(()),
            false => Err(Refusal::new(Reason::NoAsset, format!("there is no contract at {asset}"))),
        },
        Err(fault) => Err(unknown(fault)),
    }
}

/// The signature of an authorization; answers the wallet that must be made before it holds.
async fn check_token_signature(
    chain: &dyn Chain,
    payment: &Payment,
    requirement: &Requirement,
    domain: &Domain,
) -> Result<Option<Deployment>, Refusal> {
    let (payer, digest) = (payment.payer(), abi::digest(payment, domain));
    let (deployment, inner) = match Deployment::unwrap(&payment.signature) {
        Some((deployment, inner)) => (Some(deployment), inner),
        None => (None, payment.signature.clone()),
    };
    let of_key = signature::of_token(digest, &inner);
    // A key that delegated itself to a contract (EIP-7702) signs as that contract likes: trying the transfer will tell.
    if deployment.is_none() && of_key == Ok(payer) {
        return Ok(None);
    }
    if chain.has_code(payer).await.map_err(unknown)? {
        return match chain.accepts(payer, digest, &inner, None).await.map_err(unknown)? {
            true => Ok(None),
            false => {
                Err(Refusal::new(Reason::Signature, "the payer's wallet does not accept the signature (ERC-1271)"))
            }
        };
    }
    if let Some(deployment) = deployment {
        return check_deployment(chain, payer, digest, inner, deployment).await.map(Some);
    }
    if inner.len() > 65 {
        let words = "a wallet contract's signature, but no contract is there, and the signature does not say how to make one (ERC-6492)";
        return Err(Refusal::new(Reason::UndeployedWallet, words));
    }
    let words = match of_key {
        Err(words) => words.to_owned(),
        Ok(signer) => why_another_signer(chain, payment, requirement, signer).await,
    };
    Err(Refusal::new(Reason::Signature, words))
}

async fn check_deployment(
    chain: &dyn Chain,
    wallet: Address,
    digest: B256,
    inner: Bytes,
    deployment: Deployment,
) -> Result<Deployment, Refusal> {
    if !chain.allows_factory(deployment.factory) {
        let words =
            format!("the wallet is not there yet, and the factory {} is not one that is paid for", deployment.factory);
        return Err(Refusal::new(Reason::Factory, words));
    }
    match chain.accepts(wallet, digest, &inner, Some(&deployment)).await.map_err(unknown)? {
        true => Ok(deployment),
        false => {
            Err(Refusal::new(Reason::Signature, "the wallet, once made, does not accept the signature (ERC-6492)"))
        }
    }
}

/// The commonest cause is a wrong name of the token on one of the two sides (x402-foundation/x402#961): that can be told.
async fn why_another_signer(
    chain: &dyn Chain,
    payment: &Payment,
    requirement: &Requirement,
    signer: Address,
) -> String {
    let plain = format!("signed by {signer}, not {}, or something else was signed", payment.payer());
    let Ok(real) = chain.domain(requirement.asset).await else { return plain };
    let is_right = signature::of_token(abi::digest(payment, &real), &payment.signature) == Ok(payment.payer());
    match (is_right, &requirement.domain) {
        (true, Some((name, version))) => format!(
            "signed for the token's own name `{}` and version `{}`, but the requirement says `{name}` and `{version}`",
            real.name, real.version
        ),
        _ => plain,
    }
}

async fn check_permit_signature(
    chain: &dyn Chain,
    payment: &Payment,
    requirement: &Requirement,
) -> Result<(), Refusal> {
    // A permit is signed in the domain of Permit2, which no token has a part in.
    let domain = Domain::of("", "", requirement.chain, requirement.asset);
    let (payer, digest) = (payment.payer(), abi::digest(payment, &domain));
    let of_key = signature::of_permit2(digest, &payment.signature);
    if of_key == Ok(payer) {
        return Ok(());
    }
    let words = if !chain.has_code(payer).await.map_err(unknown)? {
        match of_key {
            Err(words) => words.to_owned(),
            Ok(signer) => format!("signed by {signer}, not {payer}, or something else was signed"),
        }
    } else if chain.accepts(payer, digest, &payment.signature, None).await.map_err(unknown)? {
        return Ok(());
    } else {
        "the payer's wallet does not accept the signature (ERC-1271)".to_owned()
    };
    Err(Refusal::new(Reason::PermitSignature, words))
}

/// What a transfer failed for. A question without an answer is passed over: that it failed is known.
async fn why_not_authorized(
    chain: &dyn Chain,
    it: &Authorization,
    requirement: &Requirement,
    words: String,
) -> Refusal {
    let asset = requirement.asset;
    match chain.is_authorization_used(asset, it.from, it.nonce).await {
        Ok(true) => return Refusal::new(Reason::NonceUsed, "the authorization was used or canceled"),
        Err(Fault::Reverted(_)) => return Refusal::new(Reason::NoEip3009, format!("{asset} does not know EIP-3009")),
        _ => {}
    }
    if let (Ok(real), Some((name, version))) = (chain.domain(asset).await, &requirement.domain) {
        for (reason, real, said) in
            [(Reason::TokenName, &real.name, name), (Reason::TokenVersion, &real.version, version)]
        {
            if real != said {
                return Refusal::new(reason, format!("the token signs as `{real}`, the requirement says `{said}`"));
            }
        }
    }
    if let Ok(balance) = chain.balance(asset, it.from).await
        && balance < it.value
    {
        return Refusal::new(Reason::Balance, format!("the payer has {balance} of {}", it.value));
    }
    let is_signature = words.to_ascii_lowercase().contains("invalid signature");
    Refusal::new(if is_signature { Reason::Signature } else { Reason::Simulation }, words)
}

async fn why_not_permitted(chain: &dyn Chain, it: &Permit, requirement: &Requirement, words: String) -> Refusal {
    let asset = requirement.asset;
    if chain.is_permit_used(it.from, it.nonce).await == Ok(true) {
        return Refusal::new(Reason::PermitNonce, "the permit was used or invalidated");
    }
    if let Ok(balance) = chain.balance(asset, it.from).await
        && balance < it.amount
    {
        return Refusal::new(Reason::PermitBalance, format!("the payer has {balance} of {}", it.amount));
    }
    if let Ok(allowance) = chain.permit2_allowance(asset, it.from).await
        && allowance < it.amount
    {
        return Refusal::new(
            Reason::PermitAllowance,
            format!("the payer lets Permit2 take {allowance} of {}", it.amount),
        );
    }
    Refusal::new(Reason::PermitSimulation, words)
}

fn unknown(fault: Fault) -> Refusal {
    Refusal::new(Reason::Unexpected, fault.to_string())
}

#[cfg(test)]
mod tests;
