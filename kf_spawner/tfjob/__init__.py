"""Defines a TFJob: defaults, validation, TF_CONFIG, children, status and the next step. Pure: dict in, dict out.

May not do I/O, read a clock or know who calls: the operator, the server extension and the dashboard all do.
"""
