-- Finds the project that is paid at an address: refusals of payments that came without a key are counted for it.
CREATE INDEX pay_projects_payee ON pay_projects (COALESCE(pay_to, wallet_address)) WHERE deleted_at IS NULL;
