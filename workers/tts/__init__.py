"""Engines that speak, behind one contract (``provider``), and the way from a text to a clip (``speak``)."""
