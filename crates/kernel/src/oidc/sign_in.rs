//! A sign-in there and back: what is kept meanwhile, and who the person is here.

use std::sync::Arc;

use loopd_store::{Reader, Tx, Value as Sql, View, params};
use loopd_types::{MINUTE_US, Problem, Result, SECOND_US, Secret, Uuid, random_token, sha256_hex};
use serde_json::Value;

use super::mapping;
use super::opened;
use super::provider::{self, Provider};
use super::wire::{self, Asked, Identity};
use crate::access::{Actor, Origin};
use crate::account::{self, NewUser, Opening, SignedIn};
use crate::input::Input;
use crate::two_factor::{self, Challenge};
use crate::{Kernel, audit};

/// How long somebody may take at the provider's.
const LIFE_US: i64 = 10 * MINUTE_US;

/// A sign-in on its way.
#[derive(Clone, Debug)]
pub struct Begun {
    pub authorization_url: String,
    pub state: String,
    /// Stays in the browser that began and never travels by address: a sign-in that an attacker began cannot be finished in it.
    pub binding: String,
    pub expires_in: i64,
}

/// Begins a sign-in at a provider.
///
/// # Errors
/// 404; 400 on `redirect_uri` for one that is not the provider's; 502.
pub async fn begin(kernel: &Arc<Kernel>, id: Uuid, body: Value) -> Result<Begun> {
    let mut input = Input::new(body, false)?;
    let redirect_uri = input.text("redirect_uri", 500).filter(|uri| !uri.is_empty());
    input.finish()?;
    let provider = find(kernel, id).await?;
    let known = &provider.redirect_uris;
    // Compared as a whole (RFC 9700, 2.1): a prefix would let a code out by an open redirect.
    let redirect_uri = match redirect_uri {
        Some(uri) if known.contains(&uri) => uri,
        None if !known.is_empty() => known[0].clone(),
        _ => return Err(Problem::field("redirect_uri", "invalid_choice", "This address is none of the provider's.")),
    };
    let metadata = wire::discover(kernel, &provider).await?;
    let token = || random_token(kernel.rng.as_ref(), 32);
    let (state, binding, nonce, verifier) = (token(), token(), token(), token());
    let asked = Asked { state: &state, nonce: &nonce, verifier: &verifier, redirect_uri: &redirect_uri };
    let authorization_url = wire::authorization_url(&metadata, &provider, &asked)?;
    let hash = sha256_hex(state.as_bytes());
    let sealed = kernel.vault.seal(kernel.rng.as_ref(), &context(&hash), verifier.as_bytes())?;
    let (expires_at, bound) = (kernel.now().plus(LIFE_US), sha256_hex(binding.as_bytes()));
    kernel
        .db
        .write(View::System, move |tx| {
            Ok(tx.push(
                "INSERT INTO oidc_sign_ins (state_hash, provider_id, binding_hash, nonce, verifier, redirect_uri, expires_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
                params![&hash, id, &bound, &nonce, Sql::Bytes(sealed.clone()), &redirect_uri, expires_at],
            )?)
        })
        .await?;
    Ok(Begun { authorization_url, state, binding, expires_in: LIFE_US / SECOND_US })
}

fn context(state_hash: &str) -> String {
    format!("oidc_sign_ins.verifier {state_hash}")
}

async fn find(kernel: &Arc<Kernel>, id: Uuid) -> Result<Provider> {
    let shared = kernel.clone();
    kernel.db.read(View::System, move |reader| provider::get(reader, &shared, id)).await
}

/// What the browser brings back.
#[derive(Clone, Debug)]
pub struct Return {
    state: String,
    binding: String,
    code: String,
    iss: Option<String>,
}

impl Return {
    /// Reads `state`, `binding`, `code`, and `iss` if the provider sent it.
    ///
    /// # Errors
    /// 400 with every complaint.
    pub fn parse(body: Value) -> Result<Self> {
        let mut input = Input::new(body, false)?;
        let state = input.required_text("state", 200);
        let binding = input.required_text("binding", 200);
        let code = input.required_text("code", 4_000);
        let iss = input.text("iss", 500).filter(|iss| !iss.is_empty());
        input.finish()?;
        let all = || Problem::internal("a checked return lacks a field");
        Ok(Self { state: state.ok_or_else(all)?, binding: binding.ok_or_else(all)?, code: code.ok_or_else(all)?, iss })
    }
}

/// A sign-in that the provider has vouched for; [`Completed::open`] finds the person and opens the session.
#[derive(Clone, Debug)]
pub struct Completed {
    provider: Provider,
    identity: Identity,
}

struct Kept {
    provider: Uuid,
    nonce: String,
    verifier: Secret<String>,
    redirect_uri: String,
}

/// Takes the sign-in out, durably and whatever comes of it, changes the code and believes the ID token.
///
/// # Errors
/// 401 `oidc_not_valid`; 502 `provider_unavailable`.
pub async fn complete(kernel: &Arc<Kernel>, back: &Return) -> Result<Completed> {
    let kept = take(kernel, back).await?;
    let provider = find(kernel, kept.provider).await?;
    let metadata = wire::discover(kernel, &provider).await?;
    // RFC 9207: an answer that names another issuer, or none where one is promised, was mixed up on its way.
    match &back.iss {
        Some(iss) if *iss != provider.issuer => return Err(wire::not_valid("the answer names another issuer")),
        None if metadata.authorization_response_iss_parameter_supported => {
            return Err(wire::not_valid("the answer does not name its issuer"));
        }
        _ => {}
    }
    let asked = Asked {
        state: &back.state,
        nonce: &kept.nonce,
        verifier: kept.verifier.expose(),
        redirect_uri: &kept.redirect_uri,
    };
    let id_token = wire::exchange(kernel, &provider, &metadata, &back.code, &asked).await?;
    let identity = wire::verify(kernel, &provider, &metadata, &id_token, &kept.nonce).await?;
    Ok(Completed { provider, identity })
}

async fn take(kernel: &Arc<Kernel>, back: &Return) -> Result<Kept> {
    let (hash, bound) = (sha256_hex(back.state.as_bytes()), sha256_hex(back.binding.as_bytes()));
    let (shared, asked) = (kernel.clone(), hash.clone());
    let found = kernel
        .db
        .write(View::System, move |tx| {
            Ok(tx.first(
                "DELETE FROM oidc_sign_ins WHERE state_hash = $1 AND binding_hash = $2 AND expires_at > $3 \
                 RETURNING provider_id, nonce, verifier, redirect_uri",
                &params![&asked, &bound, shared.now()],
                |row| Ok((row.uuid(0)?, row.text(1)?.to_owned(), row.bytes(2)?.to_vec(), row.text(3)?.to_owned())),
            )?)
        })
        .await?;
    let (provider, nonce, sealed, redirect_uri) =
        found.ok_or_else(|| wire::not_valid("no such sign-in is under way in this browser"))?;
    let plain = kernel.vault.open(&context(&hash), &sealed)?;
    let verifier = Secret::new(String::from_utf8(plain).map_err(Problem::internal)?);
    Ok(Kept { provider, nonce, verifier, redirect_uri })
}

/// Who somebody is here.
#[derive(Clone, Debug)]
pub struct Person {
    user: Uuid,
    opening: Opening,
}

impl Completed {
    /// Finds the person (by the provider's subject, else by verified email), or makes them where the provider may, and gives and takes
    /// what their groups say. Its own transaction: a group that was lost is lost, whether or not a session is opened.
    ///
    /// # Errors
    /// 403 `email_not_verified`, `account_not_linked`, `no_account`, `company_access_denied`.
    pub fn admit(&self, tx: &mut Tx<'_>, kernel: &Kernel, origin: &Origin) -> Result<Person> {
        let Self { provider, identity } = self;
        let user = self.person(tx, kernel, origin)?;
        mapping::apply(tx, kernel, provider, user, &identity.groups, origin)?;
        let second_factor = provider.trusts_mfa && identity.has_two_factor;
        let method = if second_factor { opened::TRUSTED_METHOD } else { "oidc" }.to_owned();
        let (provider, confined_to) = (Some(provider.id), provider.confined_to());
        Ok(Person { user, opening: Opening { method, second_factor, confined_to, provider } })
    }

    fn person(&self, tx: &mut Tx<'_>, kernel: &Kernel, origin: &Origin) -> Result<Uuid> {
        let Self { provider, identity } = self;
        let now = kernel.now();
        // Two first sign-ins of one subject at once must not make two people.
        tx.lock(&format!("oidc:{}", provider.id))?;
        let known = tx.first(
            "UPDATE oidc_identities SET last_used_at = $3 WHERE provider_id = $1 AND subject = $2 RETURNING user_id",
            &params![provider.id, &identity.subject, now],
            |row| row.uuid(0),
        )?;
        if let Some(user) = known {
            return Ok(user);
        }
        let email = identity.email.as_deref().filter(|email| account::rules::is_email(email));
        let Some(email) = email.filter(|_| identity.email_verified) else {
            return Err(Problem::forbidden("email_not_verified", "The provider has not verified your email."));
        };
        let sql = "SELECT id, email_verified_at FROM users WHERE email = $1";
        let found = tx.first(sql, &params![email], |row| Ok((row.uuid(0)?, row.opt_time(1)?)))?;
        let user = match found {
            Some((user, Some(_))) => user,
            // Somebody may have registered here with an email that is not theirs, and waits for its owner to come.
            Some((_, None)) => {
                let words =
                    "An account with this email exists here and has not verified it; sign in to it and do so first.";
                return Err(Problem::forbidden("account_not_linked", words));
            }
            // Nobody is made of whom the company's provider says nothing that the company cares for.
            None if provider.confined_to().is_some() && !mapping::names_any(provider, &identity.groups) => {
                return Err(crate::access::company_access_denied());
            }
            None if provider.creates_users => self.make_user(tx, kernel, email)?,
            None => return Err(Problem::forbidden("no_account", "There is no account with your email here.")),
        };
        tx.push(
            "INSERT INTO oidc_identities (provider_id, subject, user_id, created_at, last_used_at) VALUES ($1, $2, $3, $4, $4)",
            params![provider.id, &identity.subject, user, now],
        )?;
        let actor = Actor { user: Some(user), credential: None, origin: Some(origin.clone()), reason: None };
        let (target, linked) = (user.to_string(), provider.id.to_string());
        let entry = audit::Entry {
            action: "oidc-link",
            module: "core",
            resource: "users",
            target: &target,
            label: email,
            changes: Some(serde_json::json!({"provider": [null, linked]}).to_string()),
        };
        audit::record_by(tx, kernel, provider.company, &actor, entry)?;
        Ok(user)
    }

    /// A person without a password. Their email counts as verified only by the word of a provider that everybody here trusts.
    fn make_user(&self, tx: &mut Tx<'_>, kernel: &Kernel, email: &str) -> Result<Uuid> {
        let short = |text: &str| text.chars().take(150).collect::<String>();
        let user = NewUser {
            email: email.to_owned(),
            username: short(email),
            password_hash: "!".to_owned(),
            first_name: short(&self.identity.first_name),
            last_name: short(&self.identity.last_name),
            phone: String::new(),
            language: "en".to_owned(),
            is_staff: false,
            is_superuser: false,
        };
        let id = account::create_user(tx, kernel, &user)?;
        if self.provider.confined_to().is_none() {
            tx.push("UPDATE users SET email_verified_at = $2 WHERE id = $1", params![id, kernel.now()])?;
        }
        Ok(id)
    }
}

impl Person {
    /// The challenge that the person must answer first; `None` when they have no second factor, or the provider has asked for one and is
    /// trusted in that.
    ///
    /// # Errors
    /// 403 `company_access_denied` for who comes by a company's provider and is no member of it.
    pub async fn second_factor(&self, kernel: &Arc<Kernel>) -> Result<Option<Challenge>> {
        let (user, confined_to) = (self.user, self.opening.confined_to);
        let read = move |reader: &mut Reader<'_>| {
            if let Some(company) = confined_to {
                let sql = "SELECT 1 FROM memberships WHERE company_id = $1 AND user_id = $2 AND status = 'active'";
                let member = reader.first(sql, &params![company, user], |_| Ok(()))?;
                member.ok_or_else(crate::access::company_access_denied)?;
            }
            two_factor::standing(reader, user)
        };
        let standing = kernel.db.read(View::System, read).await?;
        if self.opening.second_factor || !standing.is_enabled() {
            return Ok(None);
        }
        Challenge::make(kernel, user, &self.opening, &standing).await.map(Some)
    }

    /// # Errors
    /// As [`account::start`].
    pub fn open(&self, tx: &mut Tx<'_>, kernel: &Kernel, origin: &Origin) -> Result<SignedIn> {
        account::start(tx, kernel, self.user, origin, &self.opening)
    }
}
