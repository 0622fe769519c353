"""How well Headrace answers on real streams, beside published baselines: ``python -m benchmarks.quality``."""
