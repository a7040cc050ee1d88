//! The contracts that are talked to, and what is signed for them: nothing here asks anybody.

use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use alloy_sol_types::{SolCall as _, SolStruct as _, SolValue as _, sol};

use super::script::{self, Ending};
use crate::x402::{Authorization, Method, Payment, Permit};

/// Uniswap's Permit2, at one address on every chain.
pub const PERMIT2: Address = address!("000000000022D473030F116dDEE9F6B43aC78BA3");
/// `x402ExactPermit2Proxy`, likewise; the only spender that a permit may name.
pub const PROXY: Address = address!("402085c248EeA27D92E8b30b2C58ed07f9E20001");
/// What a wallet contract answers to say yes (ERC-1271).
pub const IS_VALID: [u8; 4] = [0x16, 0x26, 0xba, 0x7e];
/// The last 32 bytes of a signature that brings its wallet's deployment along (ERC-6492).
const WRAPPED: [u8; 32] = {
    let mut marker = [0; 32];
    let mut at = 0;
    while at < 32 {
        marker[at] = if at % 2 == 0 { 0x64 } else { 0x92 };
        at += 1;
    }
    marker
};

sol! {
    /// EIP-3009, and what else is asked of a token.
    interface Token {
        function balanceOf(address owner) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
        function authorizationState(address authorizer, bytes32 nonce) external view returns (bool);
        function name() external view returns (string);
        function version() external view returns (string);
        function DOMAIN_SEPARATOR() external view returns (bytes32);
        function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature) external;
    }

    /// The same transfer for tokens that know keys only; Circle's know both.
    interface KeyToken {
        function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
    }

    /// ERC-1271.
    interface Wallet {
        function isValidSignature(bytes32 digest, bytes signature) external view returns (bytes4);
    }

    interface Permit2 {
        function nonceBitmap(address owner, uint256 word) external view returns (uint256);
    }

    struct TokenPermissions {
        address token;
        uint256 amount;
    }

    struct Witness {
        address to;
        uint256 validAfter;
    }

    struct PermitTransferFrom {
        TokenPermissions permitted;
        uint256 nonce;
        uint256 deadline;
    }

    /// EIP-2612, as x402's proxy takes it along.
    struct TokenPermit {
        uint256 value;
        uint256 deadline;
        bytes32 r;
        bytes32 s;
        uint8 v;
    }

    interface Proxy {
        function settle(PermitTransferFrom permit, address owner, Witness witness, bytes signature) external;
        function settleWithPermit(TokenPermit allowance, PermitTransferFrom permit, address owner, Witness witness, bytes signature) external;
    }

    struct TransferWithAuthorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }

    struct PermitWitnessTransferFrom {
        TokenPermissions permitted;
        address spender;
        uint256 nonce;
        uint256 deadline;
        Witness witness;
    }
}

/// A call of a contract.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    pub to: Address,
    pub data: Bytes,
}

/// What a transaction does: a call, or code that is run once, without an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Act {
    pub to: Option<Address>,
    pub data: Bytes,
}

impl From<Call> for Act {
    fn from(Call { to, data }: Call) -> Self {
        Self { to: Some(to), data }
    }
}

/// The call that moves the money of `payment`: what is simulated before it is served, and sent when it is settled.
/// The signature of an ERC-6492 wallet is unwrapped; making the wallet first is [`script`](super::script)'s.
pub fn transfer(asset: Address, payment: &Payment) -> Call {
    match &payment.method {
        Method::Authorization(it) => {
            let inner = Deployment::unwrap(&payment.signature).map_or(payment.signature.clone(), |(_, inner)| inner);
            Call { to: asset, data: authorized(it, inner) }
        }
        // Permit2 knows nothing of wallets that are not there yet.
        Method::Permit(it) => Call { to: PROXY, data: permitted(it, payment.signature.clone()) },
    }
}

/// What moves the money of a payment, making its payer's wallet first unless it is there: one transaction, so no wallet is made for a
/// payment that fails.
pub fn deploying_transfer(asset: Address, payment: &Payment, deployment: &Deployment) -> Act {
    let transfer = transfer(asset, payment);
    Act { to: None, data: script::creation(payment.payer(), deployment, &transfer, Ending::Nothing) }
}

fn authorized(it: &Authorization, signature: Bytes) -> Bytes {
    let Ok(key) = <&[u8; 65]>::try_from(&signature[..]) else {
        let call = Token::transferWithAuthorizationCall {
            from: it.from,
            to: it.to,
            value: it.value,
            validAfter: it.valid_after,
            validBefore: it.valid_before,
            nonce: it.nonce,
            signature,
        };
        return call.abi_encode().into();
    };
    let call = KeyToken::transferWithAuthorizationCall {
        from: it.from,
        to: it.to,
        value: it.value,
        validAfter: it.valid_after,
        validBefore: it.valid_before,
        nonce: it.nonce,
        v: key[64],
        r: B256::from_slice(&key[..32]),
        s: B256::from_slice(&key[32..64]),
    };
    call.abi_encode().into()
}

/// Whose permit a call of x402's proxy brings, and its nonce; `None` for any other call.
pub fn permit_brought(data: &[u8]) -> Option<(Address, U256)> {
    let direct = Proxy::settleCall::abi_decode_validate(data).map(|call| (call.owner, call.permit.nonce));
    let allowing =
        || Proxy::settleWithPermitCall::abi_decode_validate(data).map(|call| (call.owner, call.permit.nonce));
    direct.or_else(|_| allowing()).ok()
}

fn permitted(it: &Permit, signature: Bytes) -> Bytes {
    let permitted = TokenPermissions { token: it.token, amount: it.amount };
    let permit = PermitTransferFrom { permitted, nonce: it.nonce, deadline: it.deadline };
    let witness = Witness { to: it.to, validAfter: it.valid_after };
    Proxy::settleCall { permit, owner: it.from, witness, signature }.abi_encode().into()
}

/// How a wallet that is not there yet comes to be (ERC-6492).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deployment {
    pub factory: Address,
    pub call: Bytes,
}

impl Deployment {
    /// How the payer's wallet comes to be, if the payment tells. Of a permit nothing is made, as in the reference.
    pub fn of(payment: &Payment) -> Option<Deployment> {
        let Method::Authorization(_) = payment.method else { return None };
        Self::unwrap(&payment.signature).map(|(deployment, _)| deployment)
    }

    /// Takes a signature apart that brings its wallet's deployment along; `None` for every other one.
    pub fn unwrap(signature: &Bytes) -> Option<(Deployment, Bytes)> {
        let wrapped = signature.strip_suffix(&WRAPPED)?;
        let (factory, call, inner) = <(Address, Bytes, Bytes)>::abi_decode_params_validate(wrapped).ok()?;
        (factory != Address::ZERO).then_some((Deployment { factory, call }, inner))
    }

    /// The same in one piece, as a wallet writes it.
    pub fn wrap(&self, signature: Bytes) -> Bytes {
        let before = (self.factory, self.call.clone(), signature).abi_encode_params();
        [before, WRAPPED.to_vec()].concat().into()
    }
}

/// An EIP-712 domain of a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Domain {
    pub name: String,
    pub version: String,
    /// Its hash, with chain and contract in it.
    pub separator: B256,
}

impl Domain {
    pub fn of(name: &str, version: &str, chain: u64, contract: Address) -> Self {
        let kind = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        let words = (kind, keccak256(name), keccak256(version), U256::from(chain), contract);
        let separator = keccak256(words.abi_encode());
        Self { name: name.to_owned(), version: version.to_owned(), separator }
    }
}

/// What is signed for Permit2: it has a domain without a version.
fn permit2_separator(chain: u64) -> B256 {
    let kind = keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)");
    keccak256((kind, keccak256("Permit2"), U256::from(chain), PERMIT2).abi_encode())
}

/// What was signed with `payment`, if the token calls itself as `domain` says (EIP-712; a permit does not depend on it).
pub fn digest(payment: &Payment, domain: &Domain) -> B256 {
    let (separator, message) = match &payment.method {
        Method::Authorization(it) => {
            let message = TransferWithAuthorization {
                from: it.from,
                to: it.to,
                value: it.value,
                validAfter: it.valid_after,
                validBefore: it.valid_before,
                nonce: it.nonce,
            };
            (domain.separator, message.eip712_hash_struct())
        }
        Method::Permit(it) => {
            let message = PermitWitnessTransferFrom {
                permitted: TokenPermissions { token: it.token, amount: it.amount },
                spender: it.spender,
                nonce: it.nonce,
                deadline: it.deadline,
                witness: Witness { to: it.to, validAfter: it.valid_after },
            };
            (permit2_separator(payment.chain), message.eip712_hash_struct())
        }
    };
    let mut signed = [0; 66];
    signed[..2].copy_from_slice(b"\x19\x01");
    signed[2..34].copy_from_slice(separator.as_slice());
    signed[34..].copy_from_slice(message.as_slice());
    keccak256(signed)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{b256, hex};

    use super::*;
    use crate::x402::Version;

    const TOKEN: Address = address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913");
    const FROM: Address = address!("857b06519E91e3A54538791bDbb0E22373e36b66");
    const TO: Address = address!("209693Bc6afc0C5328bA36FaF03C514EF312287C");

    fn payment(method: Method, signature: &[u8]) -> Payment {
        Payment { version: Version::V2, chain: 8453, method, signature: Bytes::copy_from_slice(signature) }
    }

    fn authorization() -> Method {
        Method::Authorization(Authorization {
            from: FROM,
            to: TO,
            value: U256::from(10_000),
            valid_after: U256::from(1_740_672_089),
            valid_before: U256::from(1_740_672_154),
            nonce: B256::repeat_byte(0xf3),
        })
    }

    fn permit() -> Method {
        Method::Permit(Permit {
            from: FROM,
            token: TOKEN,
            amount: U256::from(10_000),
            spender: PROXY,
            nonce: U256::from(7),
            deadline: U256::from(1_740_672_154),
            to: TO,
            valid_after: U256::from(1_740_672_089),
        })
    }

    /// Both digests are viem's for the type lists of `@x402/evm` 2.27.0.
    #[test]
    fn what_is_signed_is_what_buyers_sign() {
        let domain = Domain::of("USD Coin", "2", 8453, TOKEN);
        // as Circle's contract on Base answers to DOMAIN_SEPARATOR()
        assert_eq!(domain.separator, b256!("02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f"));
        assert_eq!(
            digest(&payment(authorization(), &[]), &domain),
            b256!("44b83b4af6705fd5ab074f177676d91f0daf758f80b6ab638216e8306744bdad")
        );
        assert_eq!(
            digest(&payment(permit(), &[]), &domain),
            b256!("8c1407156941d7ed4afa249ce203caf28def5feea1c80738aa44b7d445325214")
        );
    }

    #[test]
    fn keys_and_wallets_call_the_same_transfer_in_two_ways() {
        let of_key = transfer(TOKEN, &payment(authorization(), &[1; 65]));
        assert_eq!((of_key.to, &of_key.data[..4]), (TOKEN, &hex!("e3ee160e")[..]));
        let of_wallet = transfer(TOKEN, &payment(authorization(), &[1; 66]));
        assert_eq!((of_wallet.to, &of_wallet.data[..4]), (TOKEN, &hex!("cf092995")[..]));
        assert_eq!(transfer(TOKEN, &payment(permit(), &[1; 65])).to, PROXY);
    }

    /// As viem's `serializeErc6492Signature` writes it.
    #[test]
    fn a_wallet_may_bring_its_deployment_along() {
        let deployment =
            Deployment { factory: address!("4e59b44847b379578588920cA78FbF26c0B4956C"), call: hex!("01020304").into() };
        let wrapped = deployment.wrap(hex!("aabb").into());
        assert_eq!(
            wrapped,
            Bytes::from(hex!(
                "0000000000000000000000004e59b44847b379578588920ca78fbf26c0b4956c"
                "0000000000000000000000000000000000000000000000000000000000000060"
                "00000000000000000000000000000000000000000000000000000000000000a0"
                "0000000000000000000000000000000000000000000000000000000000000004"
                "0102030400000000000000000000000000000000000000000000000000000000"
                "0000000000000000000000000000000000000000000000000000000000000002"
                "aabb000000000000000000000000000000000000000000000000000000000000"
                "6492649264926492649264926492649264926492649264926492649264926492"
            ))
        );
        assert_eq!(Deployment::unwrap(&wrapped), Some((deployment, hex!("aabb").into())));
        for plain in [&[][..], &[1; 65], &WRAPPED, &[&[7; 64][..], &WRAPPED].concat()] {
            assert_eq!(Deployment::unwrap(&Bytes::copy_from_slice(plain)), None);
        }
    }
}
