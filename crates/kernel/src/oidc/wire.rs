//! What is said to a provider and what it answers: discovery, the code's exchange, and an ID token that is believed only after every
//! check of OpenID Connect Core 1.0, 3.1.3.7.

use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use loopd_types::{Kind, Problem, Result, Timestamp, sha256};
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm as Alg};
use openidconnect::{ClaimsVerificationError, ClientId, IssuerUrl, Nonce};
use serde::Deserialize;
use serde_json::Value;

use super::documents::Document;
use super::provider::Provider;
use crate::Kernel;
use crate::egress::{Outbound, Url};

/// What a provider says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    /// RFC 9207: it names itself in its answer, and must then always.
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Who somebody is, as the provider swears.
#[derive(Clone, Debug)]
pub struct Identity {
    pub subject: String,
    pub email: Option<String>,
    pub email_verified: bool,
    pub first_name: String,
    pub last_name: String,
    pub groups: Vec<String>,
    /// Whether the provider says that two factors were shown (RFC 8176 `mfa`).
    pub has_two_factor: bool,
}

/// What a public key can check, and only that: `none` and secrets shared with the provider are not among them.
const ALGORITHMS: [Alg; 9] = [
    Alg::RsaSsaPkcs1V15Sha256,
    Alg::RsaSsaPkcs1V15Sha384,
    Alg::RsaSsaPkcs1V15Sha512,
    Alg::RsaSsaPssSha256,
    Alg::RsaSsaPssSha384,
    Alg::RsaSsaPssSha512,
    Alg::EcdsaP256Sha256,
    Alg::EcdsaP384Sha384,
    Alg::EdDsa,
];

/// 502: the provider cannot be asked, or what it says makes no sense.
pub(super) fn unavailable(cause: impl std::fmt::Display) -> Problem {
    Problem::new(Kind::BadGateway, "provider_unavailable", "The identity provider does not answer as it should.")
        .with_cause(cause)
}

/// 401: the provider's word does not hold.
pub fn not_valid(cause: impl std::fmt::Display) -> Problem {
    Problem::unauthenticated("oidc_not_valid", "This sign-in could not be verified.").with_cause(cause)
}

/// Where the issuer's doors are, as it says itself.
///
/// # Errors
/// 502 `provider_unavailable`, also when the document is another issuer's.
pub async fn discover(kernel: &Kernel, provider: &Provider) -> Result<Metadata> {
    let url = format!("{}/.well-known/openid-configuration", provider.issuer.trim_end_matches('/'));
    let metadata: Metadata = serde_json::from_slice(&kernel.oidc.get(kernel, &url, is_json::<Metadata>).await?.bytes)
        .map_err(unavailable)?;
    // Word for word (Discovery 1.0, 4.3): else one issuer could speak for another.
    if metadata.issuer != provider.issuer {
        return Err(unavailable(format!("{} calls itself {}", provider.issuer, metadata.issuer)));
    }
    let is_secure = provider.issuer.starts_with("https://");
    for endpoint in [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri] {
        if is_secure && !endpoint.starts_with("https://") {
            return Err(unavailable(format!("{endpoint} is not https")));
        }
    }
    Ok(metadata)
}

/// What goes with the browser to the provider.
pub struct Asked<'a> {
    pub state: &'a str,
    pub nonce: &'a str,
    pub verifier: &'a str,
    pub redirect_uri: &'a str,
}

/// Where the browser is sent.
pub fn authorization_url(metadata: &Metadata, provider: &Provider, asked: &Asked<'_>) -> Result<String> {
    let mut url = Url::parse(&metadata.authorization_endpoint).map_err(unavailable)?;
    let challenge = URL_SAFE_NO_PAD.encode(sha256(asked.verifier.as_bytes()));
    let mut scopes = provider.scopes.clone();
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &provider.client_id)
        .append_pair("redirect_uri", asked.redirect_uri)
        .append_pair("scope", &scopes.join(" "))
        .append_pair("state", asked.state)
        .append_pair("nonce", asked.nonce)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    Ok(url.into())
}

/// `application/x-www-form-urlencoded`
fn form(pairs: &[(&str, &str)]) -> Result<String> {
    let mut url = Url::parse("http://form/").map_err(Problem::internal)?;
    url.query_pairs_mut().extend_pairs(pairs);
    Ok(url.query().unwrap_or_default().to_owned())
}

/// One value as RFC 6749, 2.3.1 wants it before it goes into a Basic header.
fn encoded(text: &str) -> Result<String> {
    Ok(form(&[("", text)])?.trim_start_matches('=').to_owned())
}

/// Changes a code for an ID token, unverified still.
///
/// # Errors
/// 401 `oidc_not_valid` when the provider refuses the code; 502.
pub async fn exchange(
    kernel: &Kernel,
    provider: &Provider,
    metadata: &Metadata,
    code: &str,
    asked: &Asked<'_>,
) -> Result<String> {
    let mut pairs = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", asked.redirect_uri),
        ("client_id", provider.client_id.as_str()),
        ("code_verifier", asked.verifier),
    ];
    let mut headers = vec![
        ("accept", "application/json".to_owned()),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
    ];
    let methods = &metadata.token_endpoint_auth_methods_supported;
    // Basic is what a provider that says nothing takes (Discovery 1.0, 3).
    let by_header = methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic");
    match &provider.client_secret {
        Some(secret) if by_header => {
            let pair = format!("{}:{}", encoded(&provider.client_id)?, encoded(secret.expose())?);
            headers.push(("authorization", format!("Basic {}", STANDARD.encode(pair))));
        }
        Some(secret) => pairs.push(("client_secret", secret.expose().as_str())),
        None => {}
    }
    let request =
        Outbound { method: "POST", url: metadata.token_endpoint.clone(), headers, body: form(&pairs)?.into_bytes() };
    let answer = kernel.egress.send(request).await.map_err(unavailable)?;
    if (400..500).contains(&answer.status) {
        return Err(not_valid(format!("the provider refused the code: {}", String::from_utf8_lossy(&answer.body))));
    }
    #[derive(Deserialize)]
    struct Tokens {
        id_token: String,
    }
    let tokens: Tokens = serde_json::from_slice(&answer.body).map_err(unavailable)?;
    Ok(tokens.id_token)
}

/// Believes an ID token: signed by a key of the issuer's with an algorithm of public keys, by this issuer, for this client alone, in
/// time, for this very sign-in.
///
/// # Errors
/// 401 `oidc_not_valid`; 502 when the keys cannot be had.
pub async fn verify(
    kernel: &Kernel,
    provider: &Provider,
    metadata: &Metadata,
    id_token: &str,
    nonce: &str,
) -> Result<Identity> {
    let token = CoreIdToken::from_str(id_token).map_err(not_valid)?;
    let are_keys = is_json::<CoreJsonWebKeySet>;
    let published = kernel.oidc.get(kernel, &metadata.jwks_uri, are_keys).await?;
    let mut outcome = check(kernel, provider, &published, &token, nonce);
    if matches!(outcome, Ok(Err(ClaimsVerificationError::SignatureVerification(_))))
        && let Some(newer) = kernel.oidc.newer(kernel, &metadata.jwks_uri, are_keys, &published).await?
    {
        // Keys are changed without notice, and mostly with a new `kid`.
        outcome = check(kernel, provider, &newer, &token, nonce);
    }
    outcome?.map_err(not_valid)?;
    // Verified, so its own words may be read for what the standard claims do not know.
    let payload = id_token.split('.').nth(1).ok_or_else(|| not_valid("no payload"))?;
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).map_err(not_valid)?).map_err(not_valid)?;
    let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
    Ok(Identity {
        subject: text("sub"),
        email: claims["email"].as_str().map(str::to_lowercase),
        // Some providers write it as a text.
        email_verified: claims["email_verified"] == true || claims["email_verified"] == "true",
        first_name: text("given_name"),
        last_name: text("family_name"),
        groups: texts(&claims[&provider.groups_claim]),
        has_two_factor: texts(&claims["amr"]).iter().any(|method| method == "mfa"),
    })
}

fn is_json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<T>(bytes).map(drop)
}

/// One try, with the keys of one document.
fn check(
    kernel: &Kernel,
    provider: &Provider,
    published: &Document,
    token: &CoreIdToken,
    nonce: &str,
) -> Result<Result<(), ClaimsVerificationError>> {
    let keys: CoreJsonWebKeySet = serde_json::from_slice(&published.bytes).map_err(unavailable)?;
    let issuer = IssuerUrl::new(provider.issuer.clone()).map_err(Problem::internal)?;
    let now = kernel.now();
    let verifier = CoreIdTokenVerifier::new_public_client(ClientId::new(provider.client_id.clone()), issuer, keys)
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || moment(now));
    Ok(token.claims(&verifier, &Nonce::new(nonce.to_owned())).map(drop))
}

/// A list of texts, or one text for a list of one.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

fn moment(now: Timestamp) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_micros(now.micros()).unwrap_or_default()
}
