"""What several sub-rooms of the node share: its folder layout, small files, pod status, restarts, translation.

May not import any other sub-room of the node.
"""
