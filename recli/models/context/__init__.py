"""Models of clicks and ratings from the fields of the user, the item and the occasion."""
