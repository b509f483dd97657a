"""What several sub-rooms of the node share: the layout of its folder, small files, statuses, restarts, translation.

May not import any other sub-room of the node.
"""
