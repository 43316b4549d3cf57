"""The bundled model: how it is made from public packages, trained and judged."""
