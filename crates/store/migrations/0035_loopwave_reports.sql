-- Sums for the reports of Loopwave, kept in the transactions that change them (wave/src/report).

-- slot: where a quarter of an hour begins. what: what is counted. number_id, agent_id: the nil id for none and nobody.
-- span: into which span of time it fell, where how long it took is counted too; else 0. many, total_us: how many, and their times together.
CREATE TABLE wave_report_sums (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    slot BIGINT NOT NULL,
    what TEXT NOT NULL,
    number_id UUID NOT NULL,
    agent_id UUID NOT NULL,
    span BIGINT NOT NULL,
    many BIGINT NOT NULL,
    total_us BIGINT NOT NULL,
    PRIMARY KEY (company_id, slot, what, number_id, agent_id, span)
) /*sqlite: WITHOUT ROWID */;

-- Conversations that are not resolved: since a customer wrote in a chat that was new or resolved. answered_at: a person's first answer.
CREATE TABLE wave_conversations (
    company_id BIGINT NOT NULL,
    chat_id UUID NOT NULL,
    began_at BIGINT NOT NULL,
    answered_at BIGINT,
    PRIMARY KEY (company_id, chat_id),
    FOREIGN KEY (company_id, chat_id) REFERENCES wave_chats (company_id, id)
) /*sqlite: WITHOUT ROWID */;
