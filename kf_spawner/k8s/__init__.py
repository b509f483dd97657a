"""Kubernetes' own vocabulary: how it writes amounts and times, and what its names and reasons mean. Pure.

Owns facts that every room needs alike. What a user or an administrator reads about them is said in the rooms that
speak to them. Imports the standard library only, does no I/O, and knows none of our kinds.
"""
