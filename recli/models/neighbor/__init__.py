"""Models that compare items or users with each other."""
