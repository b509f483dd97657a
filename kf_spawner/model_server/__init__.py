"""Serves one SavedModel over TF Serving's REST API, where TF Serving's own image cannot run.

Needs TensorFlow, NumPy and aiohttp, and no other room: it runs alone in its image. TensorFlow is imported in
`savedmodel` only, in a thread, after the server listens.
"""
