"""The parts of `benchmarks/operator.py`: a control plane with kwok's nodes, competitors, watching and counting."""
