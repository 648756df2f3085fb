"""Sources of depth frames: ROS 2 bags, folders of PNGs, labeled data sets by name, and the camera protocols."""
