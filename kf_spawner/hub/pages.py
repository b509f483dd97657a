"""Where the hub's own page templates and logo are."""

from pathlib import Path

TEMPLATES = str(Path(__file__).parent / "templates")
"""Folder for `JupyterHub.template_paths`; what it lacks comes from JupyterHub's own templates."""
