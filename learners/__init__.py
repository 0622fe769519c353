"""What learns: models, features, metrics, rows. Pure: no clock, no I/O, no unseeded randomness. Read base.py next."""
