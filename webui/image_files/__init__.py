"""Bytes of pictures: their infotext, where it is stored, how files are named and written."""
