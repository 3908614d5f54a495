"""Measurements, side by side in one run: ``python -m bench``. Nothing here is asserted; figures are reported."""
