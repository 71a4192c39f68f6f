"""Models in which layers of a network say how well a user and an item go together."""
