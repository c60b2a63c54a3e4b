"""The whole main job on one box, told as it happens: what `make demo` runs inside the lab."""
