"""Pieces that several tabs draw."""
