"""State to signed bytes and back, and the stores that only move forward. Read base.py next."""
