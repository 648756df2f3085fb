"""Recordings and data sets: ROS 2 bags, folders of PNGs, and labelled data sets by name."""
