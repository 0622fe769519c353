"""What watches: detectors of drift on series of numbers. Pure: they change nothing. Read base.py next."""
