-- Providers of identity (OpenID Connect) that people may come by. company_id is 0 for those of the whole installation.
CREATE TABLE oidc_providers (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL UNIQUE,
    name TEXT NOT NULL,
    issuer TEXT NOT NULL,
    client_id TEXT NOT NULL,
    client_secret BYTEA,
    scopes JSON NOT NULL,
    redirect_uris JSON NOT NULL,
    groups_claim TEXT NOT NULL,
    role_mapping JSON NOT NULL,
    creates_users BOOLEAN NOT NULL,
    trusts_mfa BOOLEAN NOT NULL,
    is_enabled BOOLEAN NOT NULL,
    configured_by UUID,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id)
);

-- Who a provider's subject is here. Its email may change there; the subject does not.
CREATE TABLE oidc_identities (
    provider_id UUID NOT NULL REFERENCES oidc_providers (id) ON DELETE CASCADE,
    subject TEXT NOT NULL,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    PRIMARY KEY (provider_id, subject)
);
CREATE INDEX oidc_identities_user ON oidc_identities (user_id);

-- Sign-ins on their way to a provider and back; used once. Digests of what the browser holds, the PKCE verifier sealed.
CREATE TABLE oidc_sign_ins (
    state_hash TEXT PRIMARY KEY,
    provider_id UUID NOT NULL REFERENCES oidc_providers (id) ON DELETE CASCADE,
    binding_hash TEXT NOT NULL,
    nonce TEXT NOT NULL,
    verifier BYTEA NOT NULL,
    redirect_uri TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX oidc_sign_ins_end ON oidc_sign_ins (expires_at);

-- Memberships that follow a provider's groups. is_withdrawn: suspended because the group was lost, not by an admin.
CREATE TABLE oidc_memberships (
    company_id BIGINT NOT NULL,
    membership_id UUID NOT NULL,
    provider_id UUID NOT NULL REFERENCES oidc_providers (id) ON DELETE CASCADE,
    is_withdrawn BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (company_id, membership_id),
    FOREIGN KEY (company_id, membership_id) REFERENCES memberships (company_id, id) ON DELETE CASCADE
);

-- The company that a sign-in is limited to, because that company's own provider vouched for it.
ALTER TABLE sign_in_challenges ADD COLUMN confined_company_id BIGINT;
