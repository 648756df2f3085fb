"""The page of `handmap view`: the depth picture, the hands in space, plots of the last minute, recording and playback."""
