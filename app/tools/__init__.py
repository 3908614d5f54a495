"""Tools: what can be called of outside services and of Voiceworks itself, by whom, and what came of it.

Every door (REST, MCP) goes through ``calling``; it alone decides, runs and writes the history.
"""
