"""Models that nothing personal is learned by."""
