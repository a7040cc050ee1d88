//! The shapes of the wire, before their words are understood.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An object of JSON. Serde would take a list of the members' values for one as well.
pub(super) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Objects<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Objects<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Objects(PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPayment<'a> {
    pub x402_version: Value,
    /// Version 1.
    #[serde(borrow)]
    pub scheme: Option<Cow<'a, str>>,
    /// Version 1.
    #[serde(borrow)]
    pub network: Option<Cow<'a, str>>,
    /// Version 2: which of the seller's offers is taken.
    #[serde(borrow)]
    pub accepted: Option<Object<Accepted<'a>>>,
    #[serde(borrow)]
    pub payload: Object<RawPayload<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Accepted<'a> {
    #[serde(borrow)]
    pub scheme: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub network: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPayload<'a> {
    #[serde(borrow)]
    pub signature: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub authorization: Option<Object<RawAuthorization<'a>>>,
    #[serde(borrow)]
    pub permit2_authorization: Option<Object<RawPermit<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawAuthorization<'a> {
    #[serde(borrow)]
    pub from: Cow<'a, str>,
    #[serde(borrow)]
    pub to: Cow<'a, str>,
    #[serde(borrow)]
    pub value: Cow<'a, str>,
    #[serde(borrow)]
    pub valid_after: Cow<'a, str>,
    #[serde(borrow)]
    pub valid_before: Cow<'a, str>,
    #[serde(borrow)]
    pub nonce: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPermit<'a> {
    #[serde(borrow)]
    pub permitted: Object<Permitted<'a>>,
    #[serde(borrow)]
    pub from: Cow<'a, str>,
    #[serde(borrow)]
    pub spender: Cow<'a, str>,
    #[serde(borrow)]
    pub nonce: Cow<'a, str>,
    #[serde(borrow)]
    pub deadline: Cow<'a, str>,
    #[serde(borrow)]
    pub witness: Object<RawWitness<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Permitted<'a> {
    #[serde(borrow)]
    pub token: Cow<'a, str>,
    #[serde(borrow)]
    pub amount: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawWitness<'a> {
    #[serde(borrow)]
    pub to: Cow<'a, str>,
    #[serde(borrow)]
    pub valid_after: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawRequirement<'a> {
    #[serde(borrow)]
    pub scheme: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub network: Option<Cow<'a, str>>,
    /// Version 1.
    #[serde(borrow)]
    pub max_amount_required: Option<Cow<'a, str>>,
    /// Version 2.
    #[serde(borrow)]
    pub amount: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub asset: Cow<'a, str>,
    #[serde(borrow)]
    pub pay_to: Cow<'a, str>,
    pub max_timeout_seconds: u64,
    #[serde(borrow)]
    pub extra: Option<Object<Extra<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct Extra<'a> {
    #[serde(borrow)]
    pub name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub version: Option<Cow<'a, str>>,
}
