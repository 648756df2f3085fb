"""Recordings and data sets: ROS 2 bags, folders of PNGs, and labeled data sets by name."""
