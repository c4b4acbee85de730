"""Planted bugs: each breaks one law in one place, and the suite must notice.

`python -m tests.mutants [--list] [--why] [NAME ...]`. What is planted is in `mutants.toml`.
"""
