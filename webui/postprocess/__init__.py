"""What is done to finished pictures: enlarge them, restore faces, cut, mirror."""
