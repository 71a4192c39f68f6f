"""Models of a row for each user and a row for each item."""
