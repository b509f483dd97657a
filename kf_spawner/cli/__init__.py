"""The `kf-spawner` command: starts the rooms as one supervised product on one machine.

May not hold the logic of a room.
"""
