"""A clinical question service that moves from one answer system to another with Turnout, in any of eight ways."""
