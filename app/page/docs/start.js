// A file of its own, since the page's policy allows nothing inline.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true });
