-- When the owner of a session last proved, after signing in, who they are; and whether nobody was
-- there for long since. A critical lane asks for it. `signed_in_by` says how they can prove it.
ALTER TABLE session ADD COLUMN signed_in_by text NOT NULL DEFAULT 'password';
ALTER TABLE session ADD COLUMN proved_at timestamptz;
ALTER TABLE session ADD COLUMN seen_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE session ADD COLUMN idle boolean NOT NULL DEFAULT false;
