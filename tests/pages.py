"""A page as a browser begins to read it."""

from __future__ import annotations

from html.parser import HTMLParser


class Loaded(HTMLParser):
    """What a page loads (of it what runs or styles: ``code``), and the code and style that are written into it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.assets: set[str] = set()
        self.code: set[str] = set()
        self.inline: list[str] = []
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes scripts, links, and what handlers and styles a tag has of its own."""
        given = dict(attrs)
        if tag in ("script", "link"):
            self.assets.add(given.get("src") or given.get("href") or "")
        if tag == "script" or (tag == "link" and given.get("rel") == "stylesheet"):
            self.code.add(given.get("src") or given.get("href") or "")
        self.inline += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        self._within = tag

    def handle_data(self, data: str) -> None:
        """Notes code between tags."""
        if self._within in ("script", "style") and data.strip():
            self.inline.append(data)
