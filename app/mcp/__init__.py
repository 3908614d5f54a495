"""The door for programs that call tools by the Model Context Protocol: ``/mcp`` in a process of its own.

Both generations of the protocol are spoken, by the official SDK. No state is kept between requests.
"""
