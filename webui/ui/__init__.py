"""The page: components, layout and wiring (Gradio). See assets/README.md for its browser half."""
