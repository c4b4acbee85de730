"""Use cases: one each, one transaction each. They raise `ProblemError` and know no HTTP."""
