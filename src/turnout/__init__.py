"""Turnout: progressive delivery on evidence."""
