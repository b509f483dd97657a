"""Serves one SavedModel over TF Serving's REST and gRPC APIs, where TF Serving's own image cannot run.

Needs TensorFlow, NumPy, aiohttp, grpcio and tensorflow-serving-api, and no other room: it runs alone in its image.
TensorFlow is imported in a thread, after the server listens.
"""
