"""Bytes in and out of a log, one client library a file, one contract for all. Read base.py next."""
