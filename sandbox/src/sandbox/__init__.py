"""Stand-ins for the systems Placet writes to, so that nobody needs an account to try or test it.

They own nothing but their records and their log of effects; they know no other part of Placet.
"""
