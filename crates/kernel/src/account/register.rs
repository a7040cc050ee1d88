//! Registration: one transaction makes the user, the company, its default workspace, the owner's membership and the trials.

use loopd_store::{Tx, params};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde_json::Value;

use super::{email, rules, session, session::TokenPair};
use crate::access::{Actor, Origin};
use crate::input::Input;
use crate::{Kernel, audit, company, event};

/// A user to be made; the password is hashed already.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub email: String,
    pub username: String,
    pub password_hash: String,
    pub first_name: String,
    pub last_name: String,
    pub phone: String,
    pub language: String,
    pub is_staff: bool,
    pub is_superuser: bool,
}

/// A checked registration.
#[derive(Clone, Debug)]
pub struct Registration {
    pub user: NewUser,
    pub company: company::NewCompany,
}

/// What a registration made.
#[derive(Clone, Debug)]
pub struct Registered {
    pub user_id: Uuid,
    pub email: String,
    pub username: String,
    pub company: company::Created,
    pub tokens: TokenPair,
}

impl Registration {
    /// Checks a body and hashes its password.
    ///
    /// # Errors
    /// 400 with every complaint; 503 when too many passwords are being hashed.
    pub async fn parse(kernel: &Kernel, body: Value) -> Result<Self> {
        let mut input = Input::new(body, false)?;
        let email = input.required_text("email", 254).map(|text| text.to_lowercase());
        let username = input.required_text("username", 150);
        let password = input.required_secret("password", 1024);
        let company_name = input.required_text("company_name", 200);
        let first_name = input.text("first_name", 150).unwrap_or_default();
        let last_name = input.text("last_name", 150).unwrap_or_default();
        let phone = input.text("phone", 32).unwrap_or_default();
        let language = input.choice("language", &LANGUAGES).unwrap_or_else(|| "en".to_owned());
        let currency = company::read_currency(&mut input);
        let timezone = company::read_timezone(&mut input);
        let country = company::read_country(&mut input);
        if let Some(email) = &email
            && !rules::is_email(email)
        {
            input.refuse("email", "invalid", "Enter a valid email address.");
        }
        if let Some(username) = &username
            && let Err((code, message)) = rules::check_username(username)
        {
            input.refuse("username", code, message);
        }
        if let Some(password) = &password {
            let (email, username) = (email.as_deref().unwrap_or(""), username.as_deref().unwrap_or(""));
            for (code, message) in rules::check_password(password, email, username) {
                input.refuse("password", code, message);
            }
        }
        input.finish()?;
        let all_there = || Problem::internal("a checked registration lacks a field");
        let email = email.ok_or_else(all_there)?;
        session::limit_email(kernel, &email).await?;
        let password_hash = kernel.passwords.hash(password.ok_or_else(all_there)?).await?;
        // Whoever founds a company writes to its people in their own language, until somebody chooses another.
        let of_company = language.clone();
        Ok(Self {
            user: NewUser {
                email,
                username: username.ok_or_else(all_there)?,
                password_hash,
                first_name,
                last_name,
                phone,
                language,
                is_staff: false,
                is_superuser: false,
            },
            company: company::NewCompany {
                name: company_name.ok_or_else(all_there)?,
                currency: currency.unwrap_or_else(|| "RWF".to_owned()),
                timezone: timezone.unwrap_or_else(|| "Africa/Kigali".to_owned()),
                country: country.unwrap_or_else(|| "RW".to_owned()),
                language: of_company,
                ..company::NewCompany::default()
            },
        })
    }
}

/// Languages that people and companies can choose; the first is the default.
pub(crate) const LANGUAGES: [&str; 4] = ["en", "fr", "rw", "sw"];

/// Makes user, company (its code comes from a locked counter), workspace, membership, trials, session, audit rows and events.
///
/// # Errors
/// 400 on `email` or `username` when it is taken.
pub fn register(tx: &mut Tx<'_>, kernel: &Kernel, registration: &Registration, origin: &Origin) -> Result<Registered> {
    let user_id = create_user(tx, kernel, &registration.user)?;
    let actor = Actor { user: Some(user_id), credential: None, origin: Some(origin.clone()), reason: None };
    let created = company::create(tx, kernel, &registration.company, user_id, &actor)?;
    let entry = audit::Entry {
        action: "register",
        module: "core",
        resource: "users",
        target: &user_id.to_string(),
        label: &registration.user.username,
        changes: None,
    };
    audit::record_by(tx, kernel, created.company, &actor, entry)?;
    let tokens = session::open(tx, kernel, user_id, origin)?;
    email::ask_to_verify(tx, kernel, user_id, &registration.user.email, &registration.user.language)?;
    let payload = serde_json::json!({"user": user_id.to_string(), "username": registration.user.username});
    let subject = format!("core/users/{user_id}");
    event::emit_by(tx, kernel, created.company, &actor, "core.user.registered", &subject, payload.to_string())?;
    Ok(Registered {
        user_id,
        email: registration.user.email.clone(),
        username: registration.user.username.clone(),
        company: created,
        tokens,
    })
}

/// Inserts a user.
///
/// # Errors
/// 400 on `email` or `username` when it is taken.
pub fn create_user(tx: &mut Tx<'_>, kernel: &Kernel, user: &NewUser) -> Result<Uuid> {
    let NewUser { email, username, password_hash, first_name, last_name, phone, language, is_staff, is_superuser } =
        user;
    let (id, now, username_key) = (kernel.new_id(), kernel.now(), username.to_lowercase());
    // Asked first so that both complaints come at once; the unique columns decide the race.
    let taken = tx.query(
        "SELECT email, username_key FROM users WHERE email = $1 OR username_key = $2",
        &params![email, &username_key],
        |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())),
    )?;
    let mut problem = Problem::validation();
    if taken.iter().any(|(known, _)| known == email) {
        problem.add_field("email", "unique", "A user with this email already exists.");
    }
    if taken.iter().any(|(_, known)| *known == username_key) {
        problem.add_field("username", "unique", "A user with that username already exists.");
    }
    if problem.has_fields() {
        return Err(problem);
    }
    tx.execute(
        "INSERT INTO users (id, email, username, username_key, password_hash, first_name, last_name, phone, language, \
         is_staff, is_superuser, joined_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)",
        &params![id, email, username, &username_key, password_hash, first_name, last_name, phone, language, *is_staff, *is_superuser, now],
    )
    .map_err(|error| {
        if error.is_unique("users", &["email"]) {
            Problem::field("email", "unique", "A user with this email already exists.").with_cause(error)
        } else if error.is_unique("users", &["username_key"]) {
            Problem::field("username", "unique", "A user with that username already exists.").with_cause(error)
        } else {
            error.into()
        }
    })?;
    Ok(id)
}

/// The company that a registration made, for callers that only need its number.
impl Registered {
    pub fn company_id(&self) -> CompanyId {
        self.company.company
    }
}
