"""One file per check; the file name is the id."""
