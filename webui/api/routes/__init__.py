"""One file a group of routes; each offers `router`."""
