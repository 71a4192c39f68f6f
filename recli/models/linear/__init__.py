"""Models whose score is linear in the history."""
