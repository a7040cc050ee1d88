//! The same payments before our verifier and the reference's: the same verdict and the same reason, but for what is listed here.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256, hex, keccak256};
use loopd_pay::evm::abi::{self, Deployment};
use loopd_pay::evm::{Networks, Rpc};
use loopd_pay::x402::{self, Payment, Refusal, Version, wire};
use serde_json::{Value, json};

use crate::chain::{TestChain, WALLET};
use crate::payments::{Key, Promise, SELLER, USDC, payload, requirements};
use crate::rpc::now;

/// Payments that are compared.
const CASES: u64 = 2_400;
/// What stands for a payment that the reference takes.
pub const TAKEN: &str = "taken";
/// What a funded buyer has.
const FUNDS: u64 = 1_000_000;

/// Where we differ: how the payment was spoiled, what the reference says (the beginning of it; `taken` when it takes the payment), our
/// reason. docs/x402.md says why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    // Version 1 of the reference asks nobody whether there is a token: an address without code takes every call.
    ("no contract", "taken", "asset_not_deployed_contract"),
    // It lets an exception out for what it cannot read; callers get no reason at all.
    ("a list for an authorization", "error: ", "invalid_payload"),
    ("amount in words", "error: ", "invalid_payload"),
    ("no authorization", "error: ", "invalid_payload"),
    ("no authorization", "error: ", "unsupported_payload_type"),
    ("no signature", "error: ", "invalid_payload"),
    ("requirement without a price", "error: ", "invalid_payment_requirements"),
    ("unknown network", "error: ", "invalid_exact_evm_network_mismatch"),
    ("network of the other version", "error: ", "invalid_exact_evm_network_mismatch"),
    ("third version", "error: ", "invalid_x402_version"),
    // What is no number, no address or no word there makes another hash, and so a wrong signature.
    ("amount as a number", "invalid_exact_evm_signature", "invalid_payload"),
    ("hex amount", "invalid_exact_evm_signature", "invalid_payload"),
    ("negative amount", "invalid_exact_evm_signature", "invalid_payload"),
    ("broken checksum", "invalid_exact_evm_signature", "invalid_payload"),
    ("short nonce", "invalid_exact_evm_signature", "invalid_payload"),
    ("odd signature", "invalid_exact_evm_signature", "invalid_payload"),
    // Nobody's wallet, and no way to make it.
    ("long signature", "invalid_exact_evm_signature", "invalid_exact_evm_payload_undeployed_smart_wallet"),
    // The token refuses both, which it finds out by trying.
    ("v of 0 or 1", "invalid_exact_evm_transaction_simulation_failed", "invalid_exact_evm_signature"),
    ("upper twin", "invalid_exact_evm_transaction_simulation_failed", "invalid_exact_evm_signature"),
];

/// Chance with a memory: the same cases in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn word(&mut self) -> B256 {
        keccak256(self.roll().to_be_bytes())
    }
}

/// Buyers: some with funds, one without.
struct Buyers {
    rich: [Key; 3],
    poor: Key,
    /// A wallet contract and its owner.
    wallet: (Address, Key),
    /// An authorization that was used.
    used: Payment,
}

pub struct Case {
    /// How it was spoiled.
    pub name: &'static str,
    pub payload: Value,
    pub requirements: Value,
}

type Spoil = fn(&mut Dice, &Buyers, &mut Promise) -> Case;

fn plain(name: &'static str, key: &Key, promise: &Promise) -> Case {
    let asked = requirements(promise);
    Case { name, payload: payload(&promise.signed(key), &asked), requirements: asked }
}

fn of_buyer(name: &'static str, buyers: &Buyers, promise: &Promise) -> Case {
    let key = buyers.rich.iter().find(|key| key.address() == promise.authorization.from).expect("a buyer");
    plain(name, key, promise)
}

/// Changes what the buyer sends, after it was signed.
fn altered(name: &'static str, buyers: &Buyers, promise: &Promise, change: impl FnOnce(&mut Value)) -> Case {
    let mut case = of_buyer(name, buyers, promise);
    change(&mut case.payload);
    case
}

/// The same for the seller's side.
fn asked(name: &'static str, buyers: &Buyers, promise: &Promise, change: impl FnOnce(&mut Value)) -> Case {
    let mut case = of_buyer(name, buyers, promise);
    change(&mut case.requirements);
    case
}

fn signature(json: &mut Value) -> &mut Value {
    &mut json["payload"]["signature"]
}

fn signed_bytes(json: &Value) -> Vec<u8> {
    hex::decode(json["payload"]["signature"].as_str().expect("text")).expect("bytes")
}

fn price_name(promise: &Promise) -> &'static str {
    match promise.version {
        Version::V1 => "maxAmountRequired",
        Version::V2 => "amount",
    }
}

const SPOILS: &[Spoil] = &[
    |_, b, p| of_buyer("nothing", b, p),
    |_, b, p| of_buyer("nothing", b, p),
    |_, b, p| of_buyer("nothing", b, p),
    |_, b, p| {
        p.authorization.from = b.wallet.0;
        plain("nothing, by a wallet", &b.wallet.1, p)
    },
    |_, b, p| {
        p.authorization.from = b.wallet.0;
        plain("a wallet, by a stranger", &b.poor, p)
    },
    |_, b, p| {
        altered("lower case", b, p, |json| {
            for name in ["from", "to"] {
                let text = json["payload"]["authorization"][name].as_str().expect("text").to_lowercase();
                json["payload"]["authorization"][name] = json!(text);
            }
        })
    },
    |_, b, p| {
        let mut case = plain("signed by another", &b.poor, p);
        case.payload["payload"]["authorization"]["from"] = json!(b.rich[0].address().to_string());
        case
    },
    |d, b, p| {
        altered("changed nonce", b, p, |json| {
            json["payload"]["authorization"]["nonce"] = json!(d.word().to_string());
        })
    },
    |d, b, p| {
        altered("changed bit of the signature", b, p, |json| {
            let mut bytes = signed_bytes(json);
            let bit = d.below(512) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
            *signature(json) = json!(hex::encode_prefixed(bytes));
        })
    },
    |_, b, p| {
        altered("v of 0 or 1", b, p, |json| {
            let mut bytes = signed_bytes(json);
            bytes[64] -= 27;
            *signature(json) = json!(hex::encode_prefixed(bytes));
        })
    },
    |_, b, p| {
        altered("upper twin", b, p, |json| {
            let order: U256 =
                "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141".parse().expect("a number");
            let mut bytes = signed_bytes(json);
            let twin = order - U256::from_be_slice(&bytes[32..64]);
            bytes[32..64].copy_from_slice(&twin.to_be_bytes::<32>());
            bytes[64] = 55 - bytes[64];
            *signature(json) = json!(hex::encode_prefixed(bytes));
        })
    },
    |d, b, p| {
        altered("short signature", b, p, |json| {
            let bytes = signed_bytes(json);
            *signature(json) = json!(hex::encode_prefixed(&bytes[..d.below(65) as usize]));
        })
    },
    |d, b, p| {
        altered("long signature", b, p, |json| {
            let bytes = [signed_bytes(json), vec![7; 1 + d.below(200) as usize]].concat();
            *signature(json) = json!(hex::encode_prefixed(bytes));
        })
    },
    |_, b, p| {
        altered("odd signature", b, p, |json| {
            *signature(json) = json!(format!("{}0", json["payload"]["signature"].as_str().expect("text")));
        })
    },
    |_, b, p| {
        altered("a factory of strangers", b, p, |json| {
            let deployment = Deployment { factory: SELLER, call: vec![1, 2, 3].into() };
            *signature(json) = json!(deployment.wrap(signed_bytes(json).into()).to_string());
        })
    },
    |_, b, p| altered("no signature", b, p, |json| *signature(json) = Value::Null),
    |_, b, p| altered("no authorization", b, p, |json| json["payload"]["authorization"] = Value::Null),
    |_, b, p| altered("a list for an authorization", b, p, |json| json["payload"]["authorization"] = json!([])),
    |_, b, p| altered("short nonce", b, p, |json| json["payload"]["authorization"]["nonce"] = json!("0x1234")),
    |_, b, p| {
        altered("broken checksum", b, p, |json| {
            json["payload"]["authorization"]["to"] = json!(SELLER.to_string().replace("bA36", "Ba36"));
        })
    },
    |d, b, p| {
        p.authorization.to = Address::from_word(d.word());
        asked("another recipient", b, p, |json| json["payTo"] = json!(SELLER.to_string()))
    },
    |d, b, p| {
        p.authorization.valid_before = U256::from(now().seconds() as u64) - U256::from(d.below(10_000));
        of_buyer("ended", b, p)
    },
    |d, b, p| {
        p.authorization.valid_after = U256::from(now().seconds() as u64 + 60 + d.below(10_000));
        of_buyer("not begun", b, p)
    },
    |_, b, p| {
        p.authorization.valid_after = U256::ZERO;
        p.authorization.valid_before = U256::MAX;
        of_buyer("nothing, for ever", b, p)
    },
    |d, b, p| {
        asked("another price", b, p, |json| {
            let other = p.authorization.value + U256::from(1 + d.below(50));
            json[price_name(p)] = json!(other.to_string());
        })
    },
    |_, b, p| asked("a lower price", b, p, |json| json[price_name(p)] = json!("0")),
    |_, b, p| {
        p.authorization.value = U256::from(FUNDS + 1);
        of_buyer("too little money", b, p)
    },
    |_, b, p| {
        p.authorization.from = b.poor.address();
        plain("no money", &b.poor, p)
    },
    |_, b, p| {
        let abi_method = b.used.method.clone();
        let loopd_pay::x402::Method::Authorization(it) = abi_method else { panic!("an authorization") };
        p.authorization = it;
        of_buyer("used", b, p)
    },
    |_, b, p| asked("wrong name asked for", b, p, |json| json["extra"]["name"] = json!("USDC")),
    |_, b, p| {
        p.domain.0 = "USDC".to_owned();
        of_buyer("wrong name on both sides", b, p)
    },
    |_, b, p| {
        p.domain.1 = "1".to_owned();
        of_buyer("wrong version on both sides", b, p)
    },
    |_, b, p| asked("no extra", b, p, |json| json["extra"] = json!({})),
    |_, b, p| {
        p.asset = SELLER;
        of_buyer("no contract", b, p)
    },
    |_, b, p| altered("hex amount", b, p, |json| json["payload"]["authorization"]["value"] = json!("0x10")),
    |_, b, p| altered("amount as a number", b, p, |json| json["payload"]["authorization"]["value"] = json!(10)),
    |_, b, p| altered("amount in words", b, p, |json| json["payload"]["authorization"]["value"] = json!("ten")),
    |_, b, p| altered("negative amount", b, p, |json| json["payload"]["authorization"]["value"] = json!("-1")),
    |_, b, p| asked("requirement without a price", b, p, |json| json[price_name(p)] = Value::Null),
    |_, b, p| asked("unknown network", b, p, |json| json["network"] = json!("eip155:7")),
    |_, b, p| {
        asked("network of the other version", b, p, |json| {
            json["network"] = json!(match p.version {
                Version::V1 => "eip155:8453",
                Version::V2 => "base",
            });
        })
    },
    |_, b, p| {
        altered("other network in the payment", b, p, |json| match p.version {
            Version::V1 => json["network"] = json!("polygon"),
            Version::V2 => json["accepted"]["network"] = json!("eip155:137"),
        })
    },
    |_, b, p| {
        altered("other scheme", b, p, |json| match p.version {
            Version::V1 => json["scheme"] = json!("upto"),
            Version::V2 => json["accepted"]["scheme"] = json!("upto"),
        })
    },
    |_, b, p| altered("third version", b, p, |json| json["x402Version"] = json!(3)),
    |_, b, p| {
        altered("more than is known", b, p, |json| {
            json["payload"]["more"] = json!({"a": [1]});
            json["extensions"] = json!({"b": {"info": {}, "schema": {}}});
        })
    },
];

pub async fn ours(rpc: &Rpc, case: &Case) -> Result<(), Refusal> {
    let networks = Networks::known();
    let payment = wire::payment(case.payload.to_string().as_bytes(), &networks)?;
    let requirement = wire::requirement(payment.version, case.requirements.to_string().as_bytes(), &networks)?;
    x402::verify(rpc, &payment, &requirement, now()).await.map(drop)
}

#[tokio::test]
async fn the_reference_says_the_same() {
    let Some(chain) = TestChain::start() else { return };
    let rpc = chain.rpc_with(&[]);
    let rich = [Key::new(11), Key::new(12), Key::new(13)];
    let owner = Key::new(14);
    let (wallet, _) = chain.deploy(WALLET, owner.address().into_word().as_slice());
    for address in rich.map(|key| key.address()).into_iter().chain([wallet]) {
        chain.mint(address, FUNDS);
    }
    let seconds = now().seconds().unsigned_abs();
    let used = Promise::new(Version::V2, rich[0].address(), 1, seconds, B256::repeat_byte(0xaa)).signed(&rich[0]);
    chain.send(&abi::transfer(USDC, &used));
    chain.mint(rich[0].address(), 1);
    let buyers = Buyers { rich, poor: Key::new(15), wallet: (wallet, owner), used };

    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut taken, mut complaints, mut seen) = (0, BTreeMap::<String, u32>::new(), BTreeSet::new());
    for number in 0..CASES {
        let version = if dice.below(2) == 0 { Version::V1 } else { Version::V2 };
        let buyer = dice.below(3) as usize;
        let amount = 1 + dice.below(FUNDS / 2);
        let mut promise =
            Promise::new(version, rich[buyer].address(), amount, now().seconds().unsigned_abs(), dice.word());
        let case = SPOILS[(number as usize) % SPOILS.len()](&mut dice, &buyers, &mut promise);
        let theirs = chain.judge(&case.payload, &case.requirements);
        let our = ours(&rpc, &case).await;
        let said = theirs.err().unwrap_or_else(|| TAKEN.to_owned());
        let same = match &our {
            Ok(()) => {
                taken += 1;
                said == TAKEN
            }
            Err(refusal) if said == refusal.reason.as_str() => true,
            Err(refusal) => {
                let ours = refusal.reason.as_str();
                let listed = DIFFERENCES
                    .iter()
                    .position(|(how, reason, other)| *how == case.name && said.starts_with(reason) && *other == ours);
                seen.extend(listed);
                listed.is_some()
            }
        };
        assert_eq!(
            our.is_ok(),
            case.name.starts_with("nothing") || case.name == "lower case" || case.name == "more than is known",
            "{}: {our:?}",
            case.name
        );
        if !same {
            let ours = our.map_err(|refusal| refusal.to_string());
            *complaints
                .entry(format!("{version:?}, {}: the reference says {said:?}, we say {ours:?}", case.name))
                .or_default() += 1;
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
    let stale: Vec<_> = (0..DIFFERENCES.len()).filter(|at| !seen.contains(at)).map(|at| DIFFERENCES[at]).collect();
    assert!(stale.is_empty(), "no longer different: {stale:#?}");
    assert!(taken > CASES / 10, "only {taken} payments were taken");
}
