"""Prequential metrics: constant memory, constant time, the same bits wherever a batch is cut."""
