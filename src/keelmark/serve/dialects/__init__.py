"""One file per dialect; the file name is the id."""
