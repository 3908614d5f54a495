"""Settings, logs, versions, the voice catalogue, embedded servers and the supervisor.

Imports nothing of ours; everything else may import it.
"""
