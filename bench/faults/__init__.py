"""``python -m bench.faults``: a real Voiceworks under real load, with something broken every few seconds."""
