"""Front doors for clients of other image APIs."""
