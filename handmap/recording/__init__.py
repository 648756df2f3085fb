"""Where depth frames come from: ROS 2 bags, folders of PNGs, labeled data sets by name, and what a camera is."""
