"""Model files: found, checked, hashed, loaded, kept in memory."""
