-- How people come to a company, and what they prove by reading their mail.

-- A link in a letter: the hash of its token, what it opens, and the address it was sent to. Good once.
CREATE TABLE account_tokens (
    hash TEXT PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- password-reset, verify-email, change-email, merge
    purpose TEXT NOT NULL,
    email TEXT NOT NULL,
    -- merge: the account that shall absorb user_id
    other_user_id UUID REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX account_tokens_user ON account_tokens (user_id, purpose);

-- role is the slug at the time of writing and no foreign key: a role may go while its old invitations stay as history.
CREATE TABLE invitations (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    title TEXT NOT NULL DEFAULT '',
    all_workspaces BOOLEAN NOT NULL DEFAULT TRUE,
    workspaces JSON NOT NULL,
    -- Of the living link only; NULL once it is answered, revoked or replaced.
    token_hash TEXT UNIQUE,
    -- pending, accepted, declined, revoked, expired
    status TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- On whose rights it rests: whoever made it, or sent it again.
    invited_by UUID,
    user_id UUID,
    sent_count BIGINT NOT NULL DEFAULT 1,
    answered_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id)
);
CREATE UNIQUE INDEX invitations_pending ON invitations (company_id, email) WHERE status = 'pending';
CREATE INDEX invitations_email ON invitations (email);

-- An account that was absorbed by another, or whose person asked to be forgotten, stays as a row without a name: records say who made them.
ALTER TABLE users ADD COLUMN merged_into UUID;
ALTER TABLE users ADD COLUMN erased_at BIGINT;
