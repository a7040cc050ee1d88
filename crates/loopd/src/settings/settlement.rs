//! How machine payments are settled.

use loopd_kernel::Environment;
use loopd_pay::settings::{Failpoint, Gas, Mode, Node, SANDBOX, Settings, parse_factory, parse_key};

use super::raw::Raw;
use super::{Refused, refuse};

/// An engine with all that it needs. With none named: the sandbox where it may run, else none.
pub(super) fn check_settlement(raw: &Raw, environment: Environment) -> Result<Settings, Refused> {
    let may_sandbox = !environment.is_production() || raw.allow_sandboxes.iter().any(|name| name == SANDBOX);
    let mode = match raw.settlement.as_str() {
        "" if may_sandbox => Mode::Sandbox,
        "" => Mode::Off,
        "sandbox" if may_sandbox => Mode::Sandbox,
        "sandbox" => {
            return Err(refuse(
                "settlement",
                format!("is sandbox, where no money moves; in production allow_sandboxes must name `{SANDBOX}`"),
            ));
        }
        "rpc" => Mode::Rpc,
        "facilitator" => Mode::Facilitator,
        other => return Err(refuse("settlement", format!("`{other}` is none of sandbox, rpc, facilitator"))),
    };
    let mut nodes: Vec<Node> = Vec::new();
    // Nodes and keys are secrets: which one is wrong is told by its place.
    for (place, text) in raw.evm_rpc_url.iter().enumerate() {
        let words = format!("number {} is no NETWORK=URL such as base=https://node.example.com", place + 1);
        let node = Node::parse(text).ok_or_else(|| refuse("evm_rpc_url", words))?;
        if nodes.iter().any(|known| known.chain == node.chain) {
            return Err(refuse("evm_rpc_url", format!("names two nodes for chain {}", node.chain)));
        }
        nodes.push(node);
    }
    let mut keys = Vec::new();
    for (place, text) in raw.evm_private_key.iter().enumerate() {
        let words = format!("number {} is no key: 64 hexadecimal digits", place + 1);
        keys.push(parse_key(text).ok_or_else(|| refuse("evm_private_key", words))?);
    }
    let mut factories = Vec::new();
    for text in &raw.evm_factories {
        let words = || format!("`{text}` is no address of a contract, or its checksum is wrong (EIP-55)");
        factories.push(parse_factory(text).ok_or_else(|| refuse("evm_factories", words()))?);
    }
    let facilitator = raw.facilitator_url.trim_end_matches('/').to_owned();
    let is_address = |text: &str| text.starts_with("https://") || text.starts_with("http://");
    if !facilitator.is_empty() && !is_address(&facilitator) {
        return Err(refuse("facilitator_url", "must begin with https:// or http://"));
    }
    match mode {
        Mode::Rpc if nodes.is_empty() => return Err(refuse("evm_rpc_url", "is required when settlement is rpc")),
        Mode::Rpc if keys.is_empty() => return Err(refuse("evm_private_key", "is required when settlement is rpc")),
        Mode::Facilitator if facilitator.is_empty() => {
            return Err(refuse("facilitator_url", "is required when settlement is facilitator"));
        }
        Mode::Facilitator if nodes.is_empty() => {
            let words =
                "is required when settlement is facilitator: payments are verified there, and lost answers found";
            return Err(refuse("evm_rpc_url", words));
        }
        _ => {}
    }
    let is_facilitator_open = match raw.facilitator_access.as_str() {
        "" => !environment.is_production(),
        "everybody" => true,
        "projects" => false,
        other => return Err(refuse("facilitator_access", format!("`{other}` is neither everybody nor projects"))),
    };
    let between = |name: &str, value: i64, least: i64, most: i64| match value {
        value if (least..=most).contains(&value) => Ok(value.unsigned_abs()),
        _ => Err(refuse(name, format!("must be between {least} and {most}"))),
    };
    let grant = between("sandbox_grant", raw.sandbox_grant, 0, 1_000_000_000)?;
    Ok(Settings {
        mode,
        nodes,
        keys,
        factories,
        is_facilitator_open,
        facilitator: (!facilitator.is_empty()).then_some(facilitator),
        grant: i64::try_from(grant * 1_000_000).unwrap_or_default(),
        gas: Gas {
            max_fee: u128::from(between("evm_max_fee", raw.evm_max_fee, 1, 1_000_000)?) * 1_000_000,
            confirmations: between("evm_confirmations", raw.evm_confirmations, 1, 1_000)?,
            ..Gas::default()
        },
        failpoint: Failpoint::default(),
    })
}
