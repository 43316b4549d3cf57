"""HTTP: schemas, status codes, identity, server-sent events. Knows no Gradio."""
