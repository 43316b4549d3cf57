"""Pixels in memory: sizes, masks, colours, grids, base64; no torch, no files."""
