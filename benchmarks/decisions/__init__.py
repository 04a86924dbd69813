"""Simulations of the statistics that decide: how often they are wrong, and how long they take to be right.

Every table runs the functions of `turnout.analysis` themselves on arrays of simulated traffic; nothing that decides
is written here a second time. ``make bench-decisions`` runs all and writes docs/decisions.md.
"""
