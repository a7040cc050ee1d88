-- Sessions with less than their person's rights: the operator sits there under the person's name (impersonator_id, withheld
-- permissions), or one company's own provider of identity vouched for it (confined_company_id).
ALTER TABLE sessions ADD COLUMN impersonator_id UUID;
ALTER TABLE sessions ADD COLUMN impersonation_reason TEXT;
ALTER TABLE sessions ADD COLUMN withheld JSON;
ALTER TABLE sessions ADD COLUMN confined_company_id BIGINT;
ALTER TABLE audit_logs ADD COLUMN impersonator_user_id UUID;

-- Limits of a key beside its scopes, and how often it was used. subject is what a key acts as where that is no person.
ALTER TABLE credentials ADD COLUMN allowed_networks JSON;
ALTER TABLE credentials ADD COLUMN workspaces JSON;
ALTER TABLE credentials ADD COLUMN rate_limit_per_minute BIGINT;
ALTER TABLE credentials ADD COLUMN use_count BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credentials ADD COLUMN subject TEXT;
