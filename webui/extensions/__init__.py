"""The extension platform. Authors import `webui.extensions.v1` and nothing else."""
