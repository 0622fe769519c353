"""What the service costs and how much it carries, on real servers: ``python -m benchmarks``. Read __main__.py next."""
