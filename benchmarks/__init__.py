"""Figures of the product beside those of its peers; see docs/benchmarks.md."""
