//! [`Reason`]: why a payment is not taken, in the reference's words where it has one. `docs/x402.md` lists them for readers.

use std::fmt;

use alloy_primitives::Address;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// Why a payment is not taken.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            pub const ALL: &[Reason] = &[$(Reason::$name,)+];

            /// `invalidReason` and `errorReason` on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$name => $code,)+
                }
            }
        }
    };
}

reasons! {
    /// The payment cannot be read.
    Payload = "invalid_payload",
    /// What the seller asks cannot be read.
    Requirements = "invalid_payment_requirements",
    /// Neither version 1 nor 2, or two versions in one request.
    Version = "invalid_x402_version",
    Scheme = "invalid_exact_evm_scheme",
    /// Payment and requirement are of two networks, or of one that is not known.
    Network = "invalid_exact_evm_network_mismatch",
    /// A network that is known, and that this installation does not settle on.
    UnsupportedNetwork = "invalid_network",
    /// A token that payments are not taken in.
    UnsupportedAsset = "unsupported_asset",
    /// No contract stands at the asset's address.
    NoAsset = "asset_not_deployed_contract",
    /// A way of moving money that is not understood.
    PayloadType = "unsupported_payload_type",
    /// `extra.name` or `extra.version` is missing.
    Domain = "invalid_exact_evm_missing_eip712_domain",
    Signature = "invalid_exact_evm_signature",
    /// A long signature, no wallet contract, and no way to make one.
    UndeployedWallet = "invalid_exact_evm_payload_undeployed_smart_wallet",
    /// A wallet that this factory would have to make at our expense.
    Factory = "eip6492_factory_not_allowed",
    Recipient = "invalid_exact_evm_recipient_mismatch",
    Expired = "invalid_exact_evm_payload_authorization_valid_before",
    NotYetValid = "invalid_exact_evm_payload_authorization_valid_after",
    /// The wrong amount, in version 1.
    Value = "invalid_exact_evm_authorization_value",
    /// The wrong amount, in version 2.
    ValueMismatch = "invalid_exact_evm_payload_authorization_value_mismatch",
    NonceUsed = "invalid_exact_evm_nonce_already_used",
    Balance = "invalid_exact_evm_insufficient_balance",
    TokenName = "invalid_exact_evm_token_name_mismatch",
    TokenVersion = "invalid_exact_evm_token_version_mismatch",
    /// A token that does not know EIP-3009.
    NoEip3009 = "invalid_exact_evm_eip3009_not_supported",
    /// The transfer would fail for another reason, which the detail tells.
    Simulation = "invalid_exact_evm_transaction_simulation_failed",
    PermitSpender = "invalid_permit2_spender",
    PermitRecipient = "invalid_permit2_recipient_mismatch",
    PermitExpired = "permit2_deadline_expired",
    PermitNotYetValid = "permit2_not_yet_valid",
    PermitAmount = "permit2_amount_mismatch",
    PermitToken = "permit2_token_mismatch",
    PermitSignature = "invalid_permit2_signature",
    PermitAllowance = "permit2_allowance_required",
    PermitBalance = "permit2_insufficient_balance",
    PermitNonce = "permit2_invalid_nonce",
    /// x402's proxy for Permit2 is not on this chain.
    PermitProxy = "permit2_proxy_not_deployed",
    PermitSimulation = "permit2_simulation_failed",
    /// Nobody knows whether the payment is good: the chain gave no answer, or one that makes no sense. Trying again may help.
    Unexpected = "unexpected_verify_error",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A payment that is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub reason: Reason,
    /// Whose payment it claims to be, if that much could be read.
    pub payer: Option<Address>,
    /// For people: what exactly is wrong. No secrets, and no stranger's text longer than a line.
    pub detail: String,
}

impl Refusal {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, payer: None, detail: detail.into() }
    }

    pub fn of(mut self, payer: Address) -> Self {
        self.payer = Some(payer);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_code_of_its_own() {
        let codes: std::collections::HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
    }
}
