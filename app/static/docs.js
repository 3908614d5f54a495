// Shows /openapi.json as a page on which every request can be tried.
"use strict";

window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#description",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  // The colouring of a long answer freezes the page.
  syntaxHighlight: { activated: false },
  tryItOutEnabled: true,
  // The badge would send the description's address to its maker.
  validatorUrl: null,
});
