// Shows /openapi.json as a page to read.
"use strict";

document.body.style.margin = "0";

Redoc.init(
  "/openapi.json",
  {
    // The fonts of its own theme would come from elsewhere.
    theme: {
      typography: {
        fontFamily: "system-ui, sans-serif",
        headings: { fontFamily: "system-ui, sans-serif" },
        code: { fontFamily: "ui-monospace, monospace" },
      },
    },
    hideDownloadButton: false,
    expandResponses: "200,201,202",
    nativeScrollbars: true,
  },
  document.getElementById("description"),
);
