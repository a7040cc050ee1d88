-- Recurring work: one row a schedule. Whoever moves next_at on, of all nodes, writes its job in the same transaction.
CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    next_at BIGINT NOT NULL,
    last_at BIGINT
) /*sqlite: WITHOUT ROWID */;
