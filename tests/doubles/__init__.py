"""Doubles of the outside world: small, real where it matters (real SSH, real processes), and mean on request."""
