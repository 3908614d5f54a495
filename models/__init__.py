"""What the system remembers and the rules for changing it: tables, Redis keys, stored files.

Functions take ``session`` first and never commit. May import ``config`` and nothing else of ours.
"""
