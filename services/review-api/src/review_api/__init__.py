"""The review desk: ingest, decisions, outbox, JSON API and pages. Owns the schema `review`."""
