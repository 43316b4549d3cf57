"""Components to values and back."""
