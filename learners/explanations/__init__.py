"""What each feature adds to a score."""
