"""The folder of the hub's own page templates and logo."""

from pathlib import Path

TEMPLATES = str(Path(__file__).parent / "templates")
"""For `JupyterHub.template_paths`. JupyterHub's own templates serve the other pages."""
