"""The `kf-spawner` command: wires the rooms into one supervised product on one machine. Holds no logic of a room."""
