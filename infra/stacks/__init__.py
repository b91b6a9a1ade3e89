"""One stack per concern."""
