//! [`Settlement`]: one authorization on its way, and for whom.

use alloy_primitives::{Address, B256, U256};
use loopd_kernel::collection::Document;
use loopd_types::{CompanyId, Problem, Timestamp, Uuid};
use serde_json::{Value as Json, json};

use super::State;
use crate::x402::Payment;

/// What, on any chain, can be used once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    pub chain: u64,
    pub asset: Address,
    pub payer: Address,
    pub nonce: B256,
}

/// One authorization on its way.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub id: Uuid,
    pub key: Key,
    pub amount: U256,
    pub pay_to: Address,
    pub payment: Payment,
    /// The engine that carries it out: `sandbox`, `rpc`, `facilitator`.
    pub engine: String,
    pub state: State,
    /// The transaction that moved the money, or that is on its way to. Always there when settled.
    pub tx_hash: Option<B256>,
    /// Why it failed, as x402 names it.
    pub reason: Option<String>,
    pub purpose: Purpose,
    /// The block from which the chain may hold it, once a chain was asked.
    pub from_block: Option<u64>,
    pub created_at: Timestamp,
    pub concluded_at: Option<Timestamp>,
}

impl Settlement {
    /// Whether no real money moves.
    pub fn is_sandbox(&self) -> bool {
        self.engine == super::sandbox::NAME
    }
}

/// For whom a payment is settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// For whoever asked the facilitator.
    Facilitator { company: Option<CompanyId>, project: Option<Uuid> },
    /// For a project's own sale.
    Sale(Sale),
}

/// A sale of a project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sale {
    pub company: CompanyId,
    pub project: Uuid,
    /// The registered endpoint that was paid for.
    pub endpoint: Option<Uuid>,
    /// The chain as the seller named it.
    pub network: String,
    /// What was paid for, as the seller named it.
    pub resource: String,
    pub description: Option<String>,
    /// What another product sold, and keeps the books of.
    pub document: Option<Document>,
}

impl Purpose {
    /// Whose it is.
    pub fn company(&self) -> Option<CompanyId> {
        match self {
            Purpose::Facilitator { company, .. } => *company,
            Purpose::Sale(sale) => Some(sale.company),
        }
    }

    pub(super) fn to_json(&self) -> Json {
        match self {
            Purpose::Facilitator { company, project } => {
                json!({"kind": "facilitator", "company": company.map(|it| it.0), "project": project.map(|it| it.to_string())})
            }
            Purpose::Sale(sale) => json!({
                "kind": "sale", "company": sale.company.0, "project": sale.project.to_string(),
                "endpoint": sale.endpoint.map(|it| it.to_string()), "network": sale.network, "resource": sale.resource, "description": sale.description,
                "document": sale.document.as_ref().map(|it| json!({"id": it.id.to_string(), "terms": it.terms})),
            }),
        }
    }

    pub(super) fn from_json(json: &Json) -> Result<Self, Problem> {
        let id = |name: &str| json[name].as_str().and_then(|text| Uuid::parse_str(text).ok());
        let company = json["company"].as_i64().map(CompanyId);
        match (json["kind"].as_str(), company, id("project")) {
            (Some("facilitator"), company, project) => Ok(Purpose::Facilitator { company, project }),
            (Some("sale"), Some(company), Some(project)) => Ok(Purpose::Sale(Sale {
                company,
                project,
                endpoint: id("endpoint"),
                network: json["network"].as_str().unwrap_or_default().to_owned(),
                resource: json["resource"].as_str().unwrap_or_default().to_owned(),
                description: json["description"].as_str().map(str::to_owned),
                document: document(&json["document"])?,
            })),
            _ => Err(Problem::internal("a settlement for nobody")),
        }
    }
}

fn document(json: &Json) -> Result<Option<Document>, Problem> {
    if json.is_null() {
        return Ok(None);
    }
    let id = json["id"].as_str().and_then(|text| Uuid::parse_str(text).ok());
    let id = id.ok_or_else(|| Problem::internal("a settlement for a document without an id"))?;
    Ok(Some(Document { id, terms: json["terms"].clone() }))
}
