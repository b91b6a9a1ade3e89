"""Pieces that two stacks share."""
