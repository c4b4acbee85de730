"""One key per person, wrapped: what is encrypted under it can be destroyed wherever it lies."""
