-- The second factor of a sign-in. Secrets are sealed by the vault; codes and tokens are kept as digests only.

-- secret is the one in force, pending_secret one that its owner has not shown a code of yet. last_step is the newest time step whose
-- code was used: the same code is never taken twice (RFC 6238, 5.2). failures counts wrong codes since the last right one.
CREATE TABLE totp_factors (
    user_id UUID PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret BYTEA,
    pending_secret BYTEA,
    created_at BIGINT NOT NULL,
    confirmed_at BIGINT,
    last_step BIGINT NOT NULL DEFAULT 0,
    failures BIGINT NOT NULL DEFAULT 0,
    locked_until BIGINT
);

CREATE TABLE recovery_codes (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (user_id, hash)
);

-- A sign-in whose password was right and that waits for its second factor.
CREATE TABLE sign_in_challenges (
    hash TEXT PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    method TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX sign_in_challenges_user ON sign_in_challenges (user_id);
CREATE INDEX sign_in_challenges_end ON sign_in_challenges (expires_at);

-- When the first of a person's second factors was confirmed; NULL without any.
ALTER TABLE users ADD COLUMN two_factor_since BIGINT;
-- By what a session was opened ('password', 'password+totp', 'passkey', …), and when it last showed a second factor.
ALTER TABLE sessions ADD COLUMN method TEXT NOT NULL DEFAULT 'password';
ALTER TABLE sessions ADD COLUMN second_factor_at BIGINT;
