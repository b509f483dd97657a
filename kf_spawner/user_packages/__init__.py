"""A user's own packages: the virtual environment on the home volume, over the image's packages, and the start in it.

Runs on the image's own Python, 3.6 or newer, with the standard library alone. May not import another room.
"""
