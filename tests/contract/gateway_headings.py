"""Which headings of gateway.md have a test. What trains language models has a page of its own."""

from __future__ import annotations

from tests.contract.answering import Titles
from tests.contract.document import Document

GATEWAY = Document("gateway")
# What this version does not have yet. A heading leaves the list when its endpoint comes, and gets a test.
LATER = {
    *("List Training Sessions", "Create Training Session", "Start Training", "Get Training Status", "Cancel Training"),
    *("List Prompts", "Create Prompt", "Training Progress (Real-time)"),
}
# What stands under the others promises nothing that could be asked for.
titles = Titles(GATEWAY, {"API Reference", "Next Steps"} | LATER)
documented = titles.documented
