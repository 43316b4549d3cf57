"""Schedules, samplers, noise and guidance: tensors only, no networks, no files, no settings."""
