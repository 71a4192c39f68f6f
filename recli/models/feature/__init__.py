"""Models of what users and items are: the columns of their tables."""
