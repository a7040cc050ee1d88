-- The provider of identity that opened a session, or began a sign-in which waits for a second factor: both end when it is switched off or
-- deleted. Whoever came by one before this signs in once more, because nothing says by which.
ALTER TABLE sessions ADD COLUMN provider_id UUID;
ALTER TABLE sign_in_challenges ADD COLUMN provider_id UUID;
CREATE INDEX sessions_provider ON sessions (provider_id) WHERE provider_id IS NOT NULL;
UPDATE sessions SET revoked_at = last_used_at, revoke_reason = 'provider unknown' WHERE method LIKE 'oidc%' AND revoked_at IS NULL;
DELETE FROM sign_in_challenges WHERE method = 'oidc';
