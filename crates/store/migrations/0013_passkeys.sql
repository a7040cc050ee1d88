-- Passkeys (WebAuthn): public keys only. Each is two factors, because its owner is verified by the device.
CREATE TABLE passkeys (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    public_key JSON NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    last_used_at BIGINT,
    version BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX passkeys_user ON passkeys (user_id, id);

-- A registration or sign-in under way: what was asked of the authenticator, sealed; used once.
CREATE TABLE passkey_ceremonies (
    id UUID PRIMARY KEY,
    kind TEXT NOT NULL,
    user_id UUID REFERENCES users (id) ON DELETE CASCADE,
    challenge_hash TEXT,
    state BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX passkey_ceremonies_end ON passkey_ceremonies (expires_at);
