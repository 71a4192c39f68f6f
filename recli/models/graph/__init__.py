"""Models that walk or pass messages on the graph of users and items."""
