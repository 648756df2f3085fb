"""The hand as a skinned mesh: the asset and how it is built, shapes, poses, rotations, self-collision."""
