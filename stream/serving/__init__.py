"""HTTP: health and metrics, read from a runtime. Never learns."""
