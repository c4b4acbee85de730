"""Jira: what the dispatcher's adapter needs of Cloud's v3 and v2 and of Data Center's v2.

Published documents are the measure (README names them). It refuses what it does not stand in for
with a Jira-shaped error; it never invents a success.
"""
