"""Kubernetes' own vocabulary: how it writes amounts and times, and what its names and reasons mean. Pure.

Owns facts that several rooms need. The rooms that speak to users and administrators own the words about them, but for
amounts, resources and quotas, which all rooms name alike. Imports the standard library only, does no I/O, and knows
none of our kinds.
"""
