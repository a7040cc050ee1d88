//! Why a payment is not settled, in the words of x402's reference facilitator where it has one (spec/loomal.md 8.3).

/// No engine is set (`LOOP_SETTLEMENT`).
pub const OFF: &str = "payments_disabled";
/// The authorization was used, for something else.
pub const USED: &str = "invalid_exact_evm_nonce_already_used";
pub const INSUFFICIENT_BALANCE: &str = "invalid_exact_evm_insufficient_balance";
pub const TOO_EARLY: &str = "invalid_exact_evm_payload_authorization_valid_after";
pub const EXPIRED: &str = "invalid_exact_evm_payload_authorization_valid_before";
/// The transaction was mined and changed nothing.
pub const REVERTED: &str = "invalid_exact_evm_transaction_failed";
/// A node said beforehand that it would change nothing.
pub const SIMULATION_FAILED: &str = "invalid_exact_evm_transaction_simulation_failed";
/// The payer's wallet is not there, and its factory is not one that is paid for.
pub const FACTORY: &str = "eip6492_factory_not_allowed";
/// There is no node or no wallet for the chain.
pub const NETWORK: &str = "invalid_network";
/// The chain could not be reached, and nothing was sent.
pub const UNREACHABLE: &str = "settlement_unavailable";
/// No gas wallet has what the transaction may cost; nothing was sent.
pub const UNFUNDED: &str = "settlement_unfunded";
/// Settling would cost more than the operator allows; nothing was sent.
pub const TOO_EXPENSIVE: &str = "settlement_too_expensive";
