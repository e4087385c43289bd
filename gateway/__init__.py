"""Reelgate: one base URL for AI video generation."""

__version__ = "0.1.0"
