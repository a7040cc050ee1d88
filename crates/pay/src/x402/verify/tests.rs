use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use alloy_primitives::{U256, address};
use async_trait::async_trait;
use proptest::prelude::*;
use secp256k1::ecdsa::RecoverableSignature;
use secp256k1::{Message, PublicKey, SecretKey};

use super::*;
use crate::x402::Version;

const CHAIN: u64 = 8453;
const ASSET: Address = address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913");
const SELLER: Address = address!("209693Bc6afc0C5328bA36FaF03C514EF312287C");
const WALLET: Address = address!("00000000000000000000000000000000000A11ce");
const FACTORY: Address = address!("00000000000000000000000000000000000Fac70");
/// What the wallet takes for a signature.
const PASSWORD: &[u8] = &[7; 80];
const NOW: u64 = 1_740_672_100;
const PRICE: u64 = 10_000;

/// A chain with one token, which behaves as Circle's does.
struct Ledger {
    balances: HashMap<Address, u64>,
    allowance: u64,
    used: HashSet<B256>,
    /// Wallet contracts and what each accepts.
    wallets: HashMap<Address, Vec<u8>>,
    has_proxy: bool,
    factories: Vec<Address>,
    name: &'static str,
    fault: Option<Fault>,
    asked: Mutex<Vec<&'static str>>,
}

impl Ledger {
    fn new() -> Self {
        Self {
            balances: HashMap::from([(payer(), 1_000_000), (WALLET, 1_000_000)]),
            allowance: 1_000_000,
            used: HashSet::new(),
            wallets: HashMap::new(),
            has_proxy: true,
            factories: vec![FACTORY],
            name: "USD Coin",
            fault: None,
            asked: Mutex::default(),
        }
    }

    fn note(&self, question: &'static str) -> Result<(), Fault> {
        self.asked.lock().unwrap().push(question);
        self.fault.clone().map_or(Ok(()), Err)
    }

    fn refuse(words: &str) -> Result<(), Fault> {
        Err(Fault::Reverted(Some(words.to_owned())))
    }
}

#[async_trait]
impl Chain for Ledger {
    fn id(&self) -> u64 {
        CHAIN
    }

    async fn domain(&self, token: Address) -> Result<Domain, Fault> {
        // remembered, so it is no question
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if token == ASSET { Ok(Domain::of(self.name, "2", CHAIN, token)) } else { Err(Fault::Reverted(None)) }
    }

    async fn balance(&self, _token: Address, owner: Address) -> Result<U256, Fault> {
        self.note("balance")?;
        Ok(U256::from(self.balances.get(&owner).copied().unwrap_or(0)))
    }

    async fn is_authorization_used(&self, _token: Address, _owner: Address, nonce: B256) -> Result<bool, Fault> {
        self.note("used")?;
        Ok(self.used.contains(&nonce))
    }

    async fn is_permit_used(&self, _owner: Address, nonce: U256) -> Result<bool, Fault> {
        self.note("used")?;
        Ok(self.used.contains(&B256::from(nonce)))
    }

    async fn permit2_allowance(&self, _token: Address, _owner: Address) -> Result<U256, Fault> {
        self.note("allowance")?;
        Ok(U256::from(self.allowance))
    }

    async fn has_code(&self, address: Address) -> Result<bool, Fault> {
        if address == PROXY {
            return Ok(self.has_proxy);
        }
        self.note("code")?;
        Ok(self.wallets.contains_key(&address) || address == ASSET)
    }

    async fn accepts(
        &self,
        wallet: Address,
        _digest: B256,
        signature: &Bytes,
        deployment: Option<&Deployment>,
    ) -> Result<bool, Fault> {
        self.note("accepts")?;
        match deployment {
            Some(deployment) => Ok(deployment.factory == FACTORY && signature == PASSWORD),
            None => Ok(self.wallets.get(&wallet).is_some_and(|accepted| accepted == signature)),
        }
    }

    fn allows_factory(&self, factory: Address) -> bool {
        self.factories.contains(&factory)
    }

    async fn simulate(&self, asset: Address, payment: &Payment, deployment: Option<&Deployment>) -> Result<(), Fault> {
        self.note("simulate")?;
        let (payer, value) = (payment.payer(), payment.value());
        if self.used.contains(&payment.nonce()) {
            return Self::refuse("FiatTokenV2: authorization is used or canceled");
        }
        let inner = Deployment::unwrap(&payment.signature).map_or(payment.signature.clone(), |(_, inner)| inner);
        let digest = abi::digest(payment, &self.domain(asset).await?);
        let signed = match (self.wallets.get(&payer), deployment, &payment.method) {
            (Some(accepted), ..) => inner == *accepted,
            (None, Some(_), _) => *inner == *PASSWORD,
            (None, None, Method::Authorization(_)) => signature::of_token(digest, &inner) == Ok(payer),
            (None, None, Method::Permit(_)) => signature::of_permit2(digest, &inner) == Ok(payer),
        };
        if !signed {
            return Self::refuse("FiatTokenV2: invalid signature");
        }
        if matches!(payment.method, Method::Permit(_)) && U256::from(self.allowance) < value {
            return Self::refuse("TRANSFER_FROM_FAILED");
        }
        if U256::from(self.balances.get(&payer).copied().unwrap_or(0)) < value {
            return Self::refuse("ERC20: transfer amount exceeds balance");
        }
        if payer == SELLER { Self::refuse("Blacklistable: account is blacklisted") } else { Ok(()) }
    }
}

fn key() -> SecretKey {
    SecretKey::from_secret_bytes([0x42; 32]).expect("a key")
}

fn payer() -> Address {
    Address::from_raw_public_key(&PublicKey::from_secret_key(&key()).serialize_uncompressed()[1..])
}

fn sign(key: &SecretKey, digest: B256) -> Bytes {
    let (parity, compact) =
        RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(digest.0), key).serialize_compact();
    [&compact[..], &[27 + parity.to_u8()]].concat().into()
}

fn requirement() -> Requirement {
    Requirement {
        chain: CHAIN,
        asset: ASSET,
        pay_to: SELLER,
        amount: U256::from(PRICE),
        max_timeout_seconds: 60,
        domain: Some(("USD Coin".to_owned(), "2".to_owned())),
    }
}

fn authorization() -> Authorization {
    Authorization {
        from: payer(),
        to: SELLER,
        value: U256::from(PRICE),
        valid_after: U256::from(NOW - 600),
        valid_before: U256::from(NOW + 60),
        nonce: B256::repeat_byte(0xf3),
    }
}

fn permit() -> Permit {
    Permit {
        from: payer(),
        token: ASSET,
        amount: U256::from(PRICE),
        spender: PROXY,
        nonce: U256::from(7),
        deadline: U256::from(NOW + 60),
        to: SELLER,
        valid_after: U256::from(NOW - 600),
    }
}

/// A payment that the test's key signed as the method stands, for a token of this name.
fn signed_as(method: Method, name: &str) -> Payment {
    let mut payment = Payment { version: Version::V2, chain: CHAIN, method, signature: Bytes::new() };
    payment.signature = sign(&key(), abi::digest(&payment, &Domain::of(name, "2", CHAIN, ASSET)));
    payment
}

fn signed(method: Method) -> Payment {
    signed_as(method, "USD Coin")
}

fn paid() -> Payment {
    signed(Method::Authorization(authorization()))
}

fn with(change: impl FnOnce(&mut Authorization)) -> Payment {
    let mut it = authorization();
    change(&mut it);
    signed(Method::Authorization(it))
}

fn with_permit(change: impl FnOnce(&mut Permit)) -> Payment {
    let mut it = permit();
    change(&mut it);
    signed(Method::Permit(it))
}

/// A wallet contract's payment.
fn of_wallet(signature: Bytes) -> Payment {
    let mut it = authorization();
    it.from = WALLET;
    Payment { version: Version::V2, chain: CHAIN, method: Method::Authorization(it), signature }
}

fn judged_by(ledger: &Ledger, payment: &Payment, requirement: &Requirement) -> Result<Verified, Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(verify(ledger, payment, requirement, Timestamp(NOW as i64 * 1_000_000)))
}

fn refused(ledger: &Ledger, payment: &Payment, requirement: &Requirement) -> (Reason, String) {
    let refusal = judged_by(ledger, payment, requirement).expect_err("refused");
    assert_eq!(refusal.payer, Some(payment.payer()), "whose payment it is, is known");
    (refusal.reason, refusal.detail)
}

#[test]
fn a_good_payment_is_believed_after_one_question() {
    let ledger = Ledger::new();
    for payment in [paid(), with_permit(|_| {})] {
        let verified = judged_by(&ledger, &payment, &requirement()).expect("good");
        assert_eq!(verified, Verified { payer: payer(), deployment: None });
    }
    assert_eq!(*ledger.asked.lock().unwrap(), ["simulate", "simulate"]);
}

#[test]
fn an_authorization_is_refused_for_what_is_wrong_with_it() {
    let stranger = SecretKey::from_secret_bytes([1; 32]).expect("a key");
    let domain = Domain::of("USD Coin", "2", CHAIN, ASSET);
    let forged = Payment { signature: sign(&stranger, abi::digest(&paid(), &domain)), ..paid() };
    let of_v1 = |payment| Payment { version: Version::V1, ..payment };
    for (payment, reason) in [
        (forged, Reason::Signature),
        (Payment { chain: 1, ..paid() }, Reason::Network),
        (with(|it| it.to = WALLET), Reason::Recipient),
        (with(|it| it.valid_before = U256::from(NOW + 5)), Reason::Expired),
        (with(|it| it.valid_before = U256::ZERO), Reason::Expired),
        (with(|it| it.valid_after = U256::from(NOW + 1)), Reason::NotYetValid),
        (with(|it| it.valid_after = U256::MAX), Reason::NotYetValid),
        (with(|it| it.value = U256::from(PRICE - 1)), Reason::ValueMismatch),
        (with(|it| it.value = U256::from(PRICE + 1)), Reason::ValueMismatch),
        (with(|it| it.value = U256::MAX), Reason::ValueMismatch),
        (of_v1(with(|it| it.value = U256::from(PRICE + 1))), Reason::Value),
    ] {
        assert_eq!(refused(&Ledger::new(), &payment, &requirement()).0, reason, "{payment:?}");
    }
    for payment in [
        with(|it| it.valid_before = U256::from(NOW + 6)),
        with(|it| it.valid_after = U256::from(NOW)),
        with(|it| it.valid_before = U256::MAX),
    ] {
        assert!(judged_by(&Ledger::new(), &payment, &requirement()).is_ok(), "{payment:?}");
    }
}

#[test]
fn a_permit_is_refused_for_what_is_wrong_with_it() {
    for (payment, reason) in [
        (with_permit(|it| it.spender = SELLER), Reason::PermitSpender),
        (with_permit(|it| it.to = WALLET), Reason::PermitRecipient),
        (with_permit(|it| it.deadline = U256::from(NOW + 5)), Reason::PermitExpired),
        (with_permit(|it| it.valid_after = U256::from(NOW + 1)), Reason::PermitNotYetValid),
        (with_permit(|it| it.amount = U256::from(PRICE + 1)), Reason::PermitAmount),
        (with_permit(|it| it.token = SELLER), Reason::PermitToken),
        (Payment { signature: paid().signature, ..with_permit(|_| {}) }, Reason::PermitSignature),
        (Payment { signature: Bytes::new(), ..with_permit(|_| {}) }, Reason::PermitSignature),
    ] {
        assert_eq!(refused(&Ledger::new(), &payment, &requirement()).0, reason, "{payment:?}");
    }
    let payment = with_permit(|_| {});
    let ledger = Ledger { used: HashSet::from([U256::from(7).into()]), ..Ledger::new() };
    assert_eq!(refused(&ledger, &payment, &requirement()).0, Reason::PermitNonce);
    let ledger = Ledger { balances: HashMap::new(), ..Ledger::new() };
    assert_eq!(refused(&ledger, &payment, &requirement()).0, Reason::PermitBalance);
    let ledger = Ledger { allowance: PRICE - 1, ..Ledger::new() };
    assert_eq!(refused(&ledger, &payment, &requirement()).0, Reason::PermitAllowance);
    let ledger = Ledger { has_proxy: false, ..Ledger::new() };
    assert_eq!(refused(&ledger, &payment, &requirement()).0, Reason::PermitProxy);
}

#[test]
fn the_tokens_own_name_is_told_when_a_side_has_it_wrong() {
    let wrong = Requirement { domain: Some(("USDC".to_owned(), "2".to_owned())), ..requirement() };
    let (reason, words) = refused(&Ledger::new(), &paid(), &wrong);
    assert_eq!(reason, Reason::Signature);
    assert!(words.contains("`USD Coin`") && words.contains("`USDC`"), "{words}");
    let both = signed_as(Method::Authorization(authorization()), "USDC");
    assert_eq!(refused(&Ledger::new(), &both, &wrong).0, Reason::TokenName);
    let version = Requirement { domain: Some(("USD Coin".to_owned(), "1".to_owned())), ..requirement() };
    let mut both = paid();
    both.signature = sign(&key(), abi::digest(&both, &Domain::of("USD Coin", "1", CHAIN, ASSET)));
    assert_eq!(refused(&Ledger::new(), &both, &version).0, Reason::TokenVersion);
    assert_eq!(refused(&Ledger::new(), &paid(), &Requirement { domain: None, ..requirement() }).0, Reason::Domain);
    // a permit is signed for Permit2, so the token's name has no part in it
    assert!(judged_by(&Ledger::new(), &with_permit(|_| {}), &Requirement { domain: None, ..requirement() }).is_ok());
}

#[test]
fn what_the_ledger_says_has_a_reason_of_its_own() {
    let ledger = Ledger { used: HashSet::from([authorization().nonce]), ..Ledger::new() };
    assert_eq!(refused(&ledger, &paid(), &requirement()).0, Reason::NonceUsed);
    let ledger = Ledger { balances: HashMap::from([(payer(), PRICE - 1)]), ..Ledger::new() };
    assert_eq!(refused(&ledger, &paid(), &requirement()).0, Reason::Balance);
    let nothing = Requirement { asset: SELLER, ..requirement() };
    let mut payment = paid();
    payment.signature = sign(&key(), abi::digest(&payment, &Domain::of("USD Coin", "2", CHAIN, SELLER)));
    assert_eq!(refused(&Ledger::new(), &payment, &nothing).0, Reason::NoAsset);
}

#[test]
fn without_an_answer_nothing_is_said_of_the_payment() {
    for fault in [Fault::Unreachable("no answer in time".to_owned()), Fault::Lying("of chain 1".to_owned())] {
        let ledger = Ledger { fault: Some(fault), ..Ledger::new() };
        assert_eq!(refused(&ledger, &paid(), &requirement()).0, Reason::Unexpected);
    }
}

#[test]
fn signatures_that_the_token_refuses_are_refused_here() {
    let good = paid().signature;
    let mut upper = good.to_vec();
    let order: U256 = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141".parse().expect("a number");
    let s = order - U256::from_be_slice(&good[32..64]);
    upper[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    upper[64] = 55 - good[64];
    let v = |v: u8| [&good[..64], &[v]].concat();
    let (zero, ones) = (vec![0; 65], vec![255; 65]);
    for signature in [upper.clone(), v(good[64] - 27), v(29), v(55 - good[64]), zero, ones, good[..64].to_vec(), vec![]]
    {
        let payment = Payment { signature: signature.into(), ..paid() };
        assert_eq!(refused(&Ledger::new(), &payment, &requirement()).0, Reason::Signature);
    }
    // Permit2 takes the upper twin, and the compact form
    let good = with_permit(|_| {}).signature;
    let s = order - U256::from_be_slice(&good[32..64]);
    let twin = [&good[..32], &s.to_be_bytes::<32>(), &[55 - good[64]]].concat();
    let mut compact = good[..64].to_vec();
    compact[32] |= (good[64] - 27) << 7;
    for signature in [twin, compact] {
        let payment = Payment { signature: signature.into(), ..with_permit(|_| {}) };
        assert!(judged_by(&Ledger::new(), &payment, &requirement()).is_ok());
    }
}

#[test]
fn a_wallet_contract_says_itself_what_it_accepts() {
    let deployed = || Ledger { wallets: HashMap::from([(WALLET, PASSWORD.to_vec())]), ..Ledger::new() };
    assert!(judged_by(&deployed(), &of_wallet(Bytes::from_static(PASSWORD)), &requirement()).is_ok());
    let wrong = of_wallet(vec![8; 80].into());
    assert_eq!(refused(&deployed(), &wrong, &requirement()).0, Reason::Signature);
    assert_eq!(refused(&Ledger::new(), &wrong, &requirement()).0, Reason::UndeployedWallet);
    // a key that delegated itself to a contract: the token asks the contract, whatever the key signed
    let delegated = Ledger { wallets: HashMap::from([(payer(), PASSWORD.to_vec())]), ..Ledger::new() };
    assert_eq!(refused(&delegated, &paid(), &requirement()).0, Reason::Signature);
}

#[test]
fn a_wallet_that_is_not_there_yet_comes_from_a_factory_we_pay_for() {
    let deployment = Deployment { factory: FACTORY, call: Bytes::from_static(&[1, 2, 3]) };
    let payment = of_wallet(deployment.wrap(Bytes::from_static(PASSWORD)));
    let verified = judged_by(&Ledger::new(), &payment, &requirement()).expect("good");
    assert_eq!(verified.deployment, Some(deployment.clone()));
    let strict = Ledger { factories: Vec::new(), ..Ledger::new() };
    assert_eq!(refused(&strict, &payment, &requirement()).0, Reason::Factory);
    let wrong = of_wallet(deployment.wrap(Bytes::from_static(&[9; 80])));
    assert_eq!(refused(&Ledger::new(), &wrong, &requirement()).0, Reason::Signature);
    // once it is there, nothing is made
    let deployed =
        Ledger { wallets: HashMap::from([(WALLET, PASSWORD.to_vec())]), factories: Vec::new(), ..Ledger::new() };
    assert_eq!(judged_by(&deployed, &payment, &requirement()).expect("good").deployment, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was changed after signing, the payment is not believed.
    #[test]
    fn nothing_that_was_signed_can_be_changed(field in 0usize..6, by in 1u64..1000, bit in 0usize..520) {
        let mut payment = paid();
        let Method::Authorization(it) = &mut payment.method else { unreachable!() };
        let by_word = B256::from(U256::from(by));
        match field {
            0 => it.from = Address::from_word(B256::from(U256::from_be_slice(it.from.as_slice()) ^ U256::from(by))),
            1 => it.value += U256::from(by),
            2 => it.valid_after -= U256::from(by),
            3 => it.valid_before += U256::from(by),
            4 => it.nonce ^= by_word,
            _ => {
                let mut signature = payment.signature.to_vec();
                signature[bit / 8] ^= 1 << (bit % 8);
                payment.signature = signature.into();
            }
        }
        let reason = refused(&Ledger::new(), &payment, &requirement()).0;
        prop_assert_eq!(reason, Reason::Signature);
    }

    #[test]
    fn no_signature_is_too_much(signature in proptest::collection::vec(any::<u8>(), 0..200), wrapped in any::<bool>()) {
        let signature: Bytes = signature.into();
        let deployment = Deployment { factory: FACTORY, call: Bytes::new() };
        let signature = if wrapped { deployment.wrap(signature) } else { signature };
        let payment = Payment { signature: signature.clone(), ..paid() };
        prop_assert!(judged_by(&Ledger::new(), &payment, &requirement()).is_err());
        let payment = Payment { signature, ..with_permit(|_| {}) };
        prop_assert!(judged_by(&Ledger::new(), &payment, &requirement()).is_err());
    }
}
