"""`make bench`: Placet and the floor, measured side by side on one machine in one run.

The floor is the same work in plain SQL. docs/adr/0006-what-the-bench-measures.md says what is
compared, what is not, and where either side has it easier.
"""
