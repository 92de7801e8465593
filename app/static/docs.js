/** Shows the service's description of itself by Swagger UI, which a script before this one has brought. */
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs", deepLinking: true });
