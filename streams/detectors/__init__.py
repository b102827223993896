"""Detectors of change points: one protocol, and those that speak it."""
