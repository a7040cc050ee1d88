//! What the kernel needs to know from the operator. Read and checked by the binary; the kernel never looks at the environment.

use loopd_types::{DAY_US, MINUTE_US, Secret};

/// Where this server runs; production refuses what is only safe on a laptop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Environment {
    #[default]
    Development,
    Production,
}

impl Environment {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }
    pub fn is_production(self) -> bool {
        self == Self::Production
    }
}

/// The kernel's settings, already validated.
#[derive(Clone, Debug)]
pub struct Settings {
    pub environment: Environment,
    /// Signs access tokens and encrypts secrets at rest (`LOOP_SECRET_KEY`); at least 32 bytes.
    pub secret_key: Secret<String>,
    /// The key of the environment (`LOOP_INTERNAL_API_KEY`) and whom it acts as (`LOOP_INTERNAL_API_USER_EMAIL`); off unless both are set.
    pub internal_key: Option<InternalKey>,
    /// `LOOP_RATE_LIMITS`
    pub rate_limits: bool,
    /// `LOOP_REDIS_URL`: shared windows for rate limits on several nodes.
    pub redis_url: Option<Secret<String>>,
    /// `LOOP_OTLP_ENDPOINT`: where traces go; off without.
    pub trace: Option<crate::trace::Settings>,
    /// How long what is over is kept.
    pub retention: crate::retention::Settings,
    /// Life of an access token; 30 minutes (spec/loop.md 5.2).
    pub access_ttl_us: i64,
    /// Life of a refresh token, renewed at each rotation; 14 days.
    pub refresh_ttl_us: i64,
    /// How long a trial runs that a registration starts; 30 days.
    pub trial_us: i64,
    /// How long an answer is remembered for its idempotency key; 48 hours, twice what Stripe promises.
    pub idempotency_ttl_us: i64,
    /// Where letters go: SMTP, the sandbox, or nowhere.
    pub mail: crate::mail::Delivery,
    /// The address people reach this server by, without a final slash: the beginning of every link in a letter.
    pub public_url: String,
    /// Argon2id memory in KiB; OWASP's first choice is 19 MiB, tests use less.
    pub password_memory_kib: u32,
    /// Where people's browsers are when they use passkeys (`http://localhost:8000`); the first decides the name that keys are made for.
    pub passkey_origins: Vec<String>,
    /// Where requests whose address a tenant chose may go, and how names are looked up.
    pub egress: crate::egress::Policy,
    /// Where files' content lies.
    pub files: crate::file::Place,
    /// Event streams that one company may have open on this node.
    pub event_streams: usize,
    /// Event streams that all companies together may have open on this node.
    pub event_streams_total: usize,
    /// How products sign their deliveries.
    pub webhook_schemes: crate::webhook::Schemes,
}

#[derive(Clone, Debug)]
pub struct InternalKey {
    pub key: Secret<String>,
    pub user_email: String,
}

impl Settings {
    /// The defaults around a secret key.
    pub fn new(environment: Environment, secret_key: impl Into<String>) -> Self {
        Self {
            environment,
            secret_key: Secret::new(secret_key.into()),
            internal_key: None,
            rate_limits: true,
            redis_url: None,
            trace: None,
            retention: crate::retention::Settings::default(),
            access_ttl_us: 30 * MINUTE_US,
            refresh_ttl_us: 14 * DAY_US,
            trial_us: 30 * DAY_US,
            idempotency_ttl_us: 2 * DAY_US,
            mail: crate::mail::Delivery::default(),
            public_url: "http://127.0.0.1:8000".to_owned(),
            password_memory_kib: 19 * 1024,
            passkey_origins: Vec::new(),
            egress: crate::egress::Policy::default(),
            files: crate::file::Place::Memory,
            event_streams: 1000,
            event_streams_total: 10_000,
            webhook_schemes: crate::webhook::Schemes::default(),
        }
    }
}
