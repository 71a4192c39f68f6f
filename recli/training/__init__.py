"""Training of networks: the one loop and what it needs. Only here is torch imported, and in networks' own functions."""
