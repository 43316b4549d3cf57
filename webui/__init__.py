"""Easel: a web UI for Stable Diffusion. docs/architecture.md says which room holds what."""

__version__ = "0.1.0"
