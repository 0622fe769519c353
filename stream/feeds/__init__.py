"""Made-up feeds for demonstrations and tests: seeded, with a change in them whose place is known."""
