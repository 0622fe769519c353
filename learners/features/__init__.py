"""Stages that compute features from records and labels, never from a learner. Read base.py next."""
