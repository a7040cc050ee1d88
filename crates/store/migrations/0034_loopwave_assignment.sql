-- Who gets a chat of Loopwave, and until when it should be answered.

-- Agents who were ever online: until when they are, and when it was last their turn to get a chat (a number of the company's series).
CREATE TABLE wave_agents (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    user_id UUID NOT NULL,
    online_until BIGINT NOT NULL,
    turn BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (company_id, user_id)
) /*sqlite: WITHOUT ROWID */;

-- What is due in a chat. kind: assign (nobody has it), reassign (whoever has it does not answer), first_response, resolution (targets).
-- since: when the waiting began that it is for; a clock of an older waiting is taken up without effect.
CREATE TABLE wave_timers (
    company_id BIGINT NOT NULL,
    chat_id UUID NOT NULL,
    kind TEXT NOT NULL,
    since BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, chat_id, kind),
    FOREIGN KEY (company_id, chat_id) REFERENCES wave_chats (company_id, id)
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX wave_timers_due ON wave_timers (due_at, company_id, chat_id);
