"""Which headings of gateway.md have a test."""

from __future__ import annotations

from tests.contract.answering import Titles
from tests.contract.document import Document

GATEWAY = Document("gateway")
# What stands under these promises nothing that could be asked for.
titles = Titles(GATEWAY, {"API Reference", "Next Steps"})
documented = titles.documented
