-- Who somebody is at the company's provider, for ever: (issuer, subject). Without an account it says
-- beforehand whose it is. Such an account has no password here.
ALTER TABLE account ALTER COLUMN password_hash DROP NOT NULL;
CREATE TABLE identity (
    issuer          text NOT NULL,
    subject         text NOT NULL,
    person_id       uuid NOT NULL REFERENCES person,
    account_id      uuid UNIQUE REFERENCES account,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identity_by_person ON identity (person_id);

-- A sign-in on its way to the provider and back: good once, for a few minutes, for one browser.
CREATE TABLE sign_in_attempt (
    state_hash      bytea PRIMARY KEY,
    browser_hash    bytea NOT NULL,
    nonce           text NOT NULL,
    verifier        text NOT NULL,                -- of PKCE
    back            text NOT NULL,
    session_hash    bytea,                        -- the session whose owner is to be proved again
    started_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at      timestamptz NOT NULL
);
CREATE INDEX sign_in_attempt_by_end ON sign_in_attempt (expires_at);
